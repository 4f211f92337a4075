import { throttled } from "#runtime/lib/throttled.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { HttpError } from "../errors.ts";
import { type AnsweredSocket, SilenceLimit } from "./half-closed.ts";
import { StreamTurns } from "./stream-turns.ts";

/** One server-sent event; `data` is sent as JSON. The same object for many readers is encoded once. */
export interface ServerEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data: unknown;
}

/** An event of a stream that a reader can come back to. */
export interface NamedEvent extends ServerEvent {
  readonly id: string;
  readonly event: string;
}

export type NamedEvents = readonly NamedEvent[];

/** The one piece of data that is no JSON: how OpenAI's streams end. */
export const doneMark = Symbol("[DONE]");

/** What is sent together. */
export type ServerEvents = readonly ServerEvent[];

export interface EventStreamsOptions {
  readonly log: Logger;
  /** Streams that may be open at once. */
  readonly limit?: number;
  /** Silence after which a comment is sent, so that proxies keep the connection and a dead reader is detected. */
  readonly heartbeatMs?: number;
}

export const eventStreamType = "text/event-stream";

const headers = {
  "Content-Type": `${eventStreamType}; charset=utf-8`,
  "Cache-Control": "no-store, no-transform",
  // nginx and its relatives otherwise hold events back until a buffer is full.
  "X-Accel-Buffering": "no",
};

const reconnectAfterMs = 2000;
const encoder = new TextEncoder();
const heartbeat = encoder.encode(": heartbeat\n\n");

/**
 * All event streams of the container: counted, kept alive, and ended together at shutdown. Nothing is read from a source
 * before the reader has taken what came before it, so a slow reader holds one batch here and the source decides what
 * it may miss.
 */
export class EventStreams {
  readonly #log: Logger;
  readonly #limit: number;
  readonly #heartbeatMs: number;
  readonly #open = new Set<AbortController>();
  readonly #refused: () => void;
  readonly #turns = new StreamTurns(() => this.#open.size);
  readonly #closing = new AbortController();

  constructor({ log, limit = 1000, heartbeatMs = 15_000 }: EventStreamsOptions) {
    this.#log = log;
    this.#limit = limit;
    this.#heartbeatMs = heartbeatMs;
    this.#refused = throttled((times) => log.warn({ limit, times }, "streams were refused: too many are open"));
  }

  /** Aborts when the server closes, for what goes on beside requests. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * @param source called once; it must end soon after its signal aborts, which is when the reader left or at `close`
   * @param socket of the reader: one that closes its half may be gone, which is found out by writing to it
   * @throws HttpError OVERLOADED when too many streams are open, SHUTTING_DOWN after `close`
   */
  respond(source: (signal: AbortSignal) => AsyncIterable<ServerEvents>, socket?: AnsweredSocket): Response {
    const over = this.#enter();
    return new Response(
      this.#stream(source(over.signal), over, new SilenceLimit(this.#heartbeatMs, over.signal, socket)),
      { headers },
    );
  }

  /**
   * A place among the streams for an answer that takes long. The signal aborts at `close`; the caller aborts it when it
   * waits no more, and frees the place.
   * @throws HttpError as `respond` does
   */
  hold(): AbortController {
    return this.#enter();
  }

  #enter(): AbortController {
    if (this.#closing.signal.aborted) throw new HttpError("SHUTTING_DOWN", "The container is shutting down.");
    if (this.#open.size >= this.#limit) {
      this.#refused();
      throw new HttpError(
        "OVERLOADED",
        `${this.#limit} streams and waiting requests are open, which is the limit: try again later.`,
        {
          headers: { "Retry-After": "10" },
        },
      );
    }
    const over = new AbortController();
    this.#open.add(over);
    over.signal.addEventListener("abort", () => this.#open.delete(over), { once: true });
    return over;
  }

  /** What HEAD answers: the headers, and no stream that nobody would read. */
  respondToHead(): Response {
    return new Response(null, { headers });
  }

  /** Ends every stream; readers come back by themselves, to whoever then answers. */
  close(): void {
    this.#closing.abort();
    for (const over of this.#open) over.abort();
  }

  #stream(
    events: AsyncIterable<ServerEvents>,
    over: AbortController,
    silence: SilenceLimit,
  ): ReadableStream<Uint8Array> {
    const iterator = events[Symbol.asyncIterator]();
    let next: Promise<IteratorResult<ServerEvents>> | null = null;
    let left = false;
    let writtenAtMs = Number.NEGATIVE_INFINITY;
    const pull = async (): Promise<Uint8Array | null> => {
      const pause = next === null ? this.#turns.pause(writtenAtMs, over.signal) : null;
      if (pause !== null) await pause;
      next ??= iterator.next();
      const result = await silence.within(next);
      if (result === undefined) return heartbeat;
      next = null;
      if (result.done) return null;
      const turn = this.#turns.next();
      if (turn !== null) await turn;
      writtenAtMs = performance.now();
      return encodeEvents(result.value);
    };
    return new ReadableStream(
      {
        start: (controller) => controller.enqueue(encoder.encode(`retry: ${reconnectAfterMs}\n\n`)),
        pull: async (controller) => {
          const bytes = await pull().catch((error: unknown) => {
            this.#log.error({ error }, "an event stream ended early");
            return null;
          });
          if (left) return;
          if (bytes !== null) {
            controller.enqueue(bytes);
            return;
          }
          over.abort();
          controller.close();
        },
        cancel: async () => {
          left = true;
          over.abort();
          await iterator.return?.();
        },
      },
      // Zero: an event is made when it can be sent, not one ahead.
      { highWaterMark: 0 },
    );
  }
}

const encoded = new WeakMap<ServerEvent, Uint8Array>();

function encodeEvents(events: ServerEvents): Uint8Array {
  const [first, ...more] = events.map(encodeEvent);
  return first !== undefined && more.length === 0 ? first : Buffer.concat(first === undefined ? [] : [first, ...more]);
}

/** JSON has no line breaks of its own, so the data is one line; ids and names are ours. */
function encodeEvent(event: ServerEvent): Uint8Array {
  const known = encoded.get(event);
  if (known !== undefined) return known;
  const id = event.id === undefined ? "" : `id: ${event.id}\n`;
  const name = event.event === undefined ? "" : `event: ${event.event}\n`;
  const data = event.data === doneMark ? "[DONE]" : JSON.stringify(event.data);
  const bytes = encoder.encode(`${id}${name}data: ${data}\n\n`);
  encoded.set(event, bytes);
  return bytes;
}
