import type { IncomingMessage, ServerResponse } from "node:http";
import { hasBody } from "#runtime/lib/connections.ts";
import { answerClientError } from "./client-error.ts";

export interface ArrivalLimits {
  /** How long a client may take to send its whole request. */
  readonly requestMs: number;
  /** The same for a file, as long as more of it comes. */
  readonly uploadMs: number;
  /** How long nothing of a file may come. */
  readonly silenceMs: number;
}

/** Who may upload is checked when the head is there; until then it is the path that says what is coming. */
const takesFile = /^\/inputs\/?(?:\?|$)/;

/**
 * Ends a request whose body does not arrive in time. Node has one limit for all requests of a server, which must be long
 * enough for the largest file: that one is for clients that send half a head.
 */
export function limitArrival(incoming: IncomingMessage, outgoing: ServerResponse, limits: ArrivalLimits): void {
  if (!hasBody(incoming)) return;
  const { socket, method, url = "" } = incoming;
  const startedAtMs = performance.now();
  const isFile = method === "POST" && takesFile.test(url);
  let received = socket.bytesRead;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    const error = Object.assign(new Error("the body did not arrive in time"), { code: "ERR_HTTP_REQUEST_TIMEOUT" });
    if (!incoming.complete) answerClientError(error, socket);
  };
  const look = () => {
    const isLate = performance.now() - startedAtMs >= limits.uploadMs;
    // Of a file that has been refused, nothing more is taken in.
    const isRefused = outgoing.writableEnded && performance.now() - startedAtMs >= limits.requestMs;
    if (isLate || isRefused || socket.bytesRead === received) return end();
    received = socket.bytesRead;
    timer = setTimeout(look, limits.silenceMs);
  };
  timer = isFile ? setTimeout(look, limits.silenceMs) : setTimeout(end, limits.requestMs);
  // When the body is there, and when the connection has gone.
  incoming.once("close", () => clearTimeout(timer));
}
