import type { Duplex } from "node:stream";
import { http } from "#runtime/lib/node-http.ts";
import { describeError, HttpError } from "../errors.ts";
import { Turns } from "./turns.ts";

/** How long a client may take to read the answer; one that holds its half of the connection open is not waited for. */
const lingerMs = 1000;

/**
 * Thousands of connections may be overdue at one look of Node's at all of them. Ended at once, they would all come back at once,
 * and the loop takes every connection that is there in one turn.
 */
const turns = new Turns(16, 10);

/**
 * Answers what never became a request, in the shape of every other error, and closes the connection: Node leaves that to
 * whoever listens for the error. Its own answers have no body.
 */
export function answerClientError(error: Error & { readonly code?: string }, socket: Duplex): void {
  turns.add(() => answer(error, socket));
}

function answer(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const { status, body } = describeError(explain(error.code));
  const text = JSON.stringify(body);
  socket.end(
    [
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ""}`,
      "Content-Type: application/json",
      `Content-Length: ${Buffer.byteLength(text)}`,
      "Connection: close",
      "",
      text,
    ].join("\r\n"),
  );
  const limit = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(limit));
}

function explain(code: string | undefined): HttpError {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return new HttpError("HEADERS_TOO_LARGE", "The headers are too large.");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new HttpError("REQUEST_TIMEOUT", "The request took too long to arrive.");
    default:
      return new HttpError("INVALID_REQUEST", "This is not an HTTP request.");
  }
}
