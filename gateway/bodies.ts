import type { IncomingMessage } from "node:http";
import { RestError } from "./rest-error.ts";

const mebibyte = 1024 * 1024;

/** What all requests under way may hold together: 64 of the largest by default settings. */
const maxHeldBytes = 640 * mebibyte;

/**
 * How many times the largest body is read and thrown away before the connection is closed instead. A client that is
 * still sending when the connection closes gets a broken pipe and never reads the answer that says why.
 */
const discardedBodies = 4;

/** Reads request bodies; what one of them and all of them together take is bounded. */
export class Bodies {
  readonly #maxBytes: number;
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The whole body. It counts as held until `release`.
   *
   * @throws RestError 413 or 503; an Error when the client goes away
   */
  read(request: IncomingMessage): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const chunks: Buffer[] = [];
    let bytes = 0;
    let refusal: RestError | null = null;

    const refuse = (reason: RestError): void => {
      refusal = reason;
      this.#heldBytes -= heldBytes(chunks);
      chunks.length = 0;
      if (bytes > this.#maxBytes * discardedBodies) reject(reason);
    };
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > this.#maxBytes) return refuse(this.#tooLarge());
      if (refusal !== null) return;
      if (this.#heldBytes + chunk.length > maxHeldBytes) return refuse(tooMuchHeld());
      this.#heldBytes += chunk.length;
      chunks.push(chunk);
    });
    request.once("end", () => (refusal === null ? resolve(oneBuffer(chunks)) : reject(refusal)));
    request.once("close", () => {
      if (request.complete) return;
      this.#heldBytes -= heldBytes(chunks);
      chunks.length = 0;
      reject(new Error("the client went away while it sent the body"));
    });
    return promise;
  }

  release(body: Buffer): void {
    this.#heldBytes -= body.length;
  }

  #tooLarge(): RestError {
    return new RestError(413, `ERR max request size exceeded. Limit: ${this.#maxBytes} bytes`);
  }
}

function tooMuchHeld(): RestError {
  return new RestError(503, "ERR too many large requests are under way, try again");
}

function heldBytes(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}

function oneBuffer(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
}
