import type { IncomingMessage, ServerResponse } from "node:http";

/*
 * What goes wrong on the way: each fault meets the next requests that match it, as often as it says, and is used up.
 */
export interface Fault {
  /** `POST`, `PATCH`, …; any when it is not given. */
  readonly method?: string;
  /** Part of the path and query. */
  readonly path?: string;
  /** How many requests it meets; 1 when it is not given. */
  readonly times?: number;
  readonly does: FaultKind;
}

export type FaultKind =
  /** Answered with this status, not carried out. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** The connection ends when so many bytes of bodies, of all matching requests together, have arrived. */
  | { readonly cutAfterBytes: number }
  /** Carried out, but the connection ends before the answer. */
  | { readonly dropAnswer: true }
  /** Never answered. */
  | { readonly hang: true }
  /** Carried out that much later. */
  | { readonly delayMs: number };

interface Pending {
  readonly fault: Fault;
  left: number;
  bytes: number;
}

export class FaultPlan {
  readonly #pending: Pending[] = [];

  add(...faults: readonly Fault[]): void {
    for (const fault of faults) this.#pending.push({ fault, left: fault.times ?? 1, bytes: 0 });
  }

  clear(): void {
    this.#pending.length = 0;
  }

  /** False when the request was dealt with here. */
  async meet(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const pending = this.#pending.find(({ fault, left }) => left > 0 && matches(fault, request));
    if (pending === undefined) return true;
    const { does } = pending.fault;
    if ("cutAfterBytes" in does) {
      this.#cut(request, pending, does.cutAfterBytes);
      return true;
    }
    pending.left--;
    if ("hang" in does) return false;
    if ("status" in does) {
      // The body is left where it is, as a gateway leaves it that cannot pass the request on.
      response.writeHead(does.status, { connection: "close", ...does.headers }).end(does.body ?? "");
      return false;
    }
    if ("delayMs" in does) await new Promise((resolve) => setTimeout(resolve, does.delayMs));
    if ("dropAnswer" in does) {
      response.writeHead = () => {
        request.socket.destroy();
        return response;
      };
    }
    return true;
  }

  /** What comes after the cut never reaches whoever reads the body, not even that it has ended. */
  #cut(request: IncomingMessage, pending: Pending, afterBytes: number): void {
    const push = request.push.bind(request);
    let isCut = false;
    request.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (isCut) return false;
      if (!(chunk instanceof Uint8Array) || pending.left === 0) return push(chunk, encoding);
      const bytesLeft = afterBytes - pending.bytes;
      pending.bytes += chunk.byteLength;
      if (chunk.byteLength < bytesLeft) return push(chunk, encoding);
      pending.left--;
      isCut = true;
      push(chunk.subarray(0, bytesLeft), encoding);
      request.destroy(new Error("the connection was cut, as the fault said"));
      return false;
    };
  }
}

/** Calls back with the length of each part of the body as it arrives, whoever reads it afterwards. */
export function countBody(request: IncomingMessage, onBytes: (bytes: number) => void): void {
  const push = request.push.bind(request);
  request.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk instanceof Uint8Array) onBytes(chunk.byteLength);
    return push(chunk, encoding);
  };
}

function matches({ method, path }: Fault, request: IncomingMessage): boolean {
  return (method === undefined || method === request.method) && (path === undefined || `${request.url}`.includes(path));
}
