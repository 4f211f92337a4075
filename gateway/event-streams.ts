import type { ServerResponse } from "node:http";
import { RestError } from "./rest-error.ts";
import { type Subscriber, type SubscriptionKind, type Subscriptions, subscriptionLost } from "./subscriptions.ts";

/** A reader that falls this far behind is cut off: it must connect again, as after any lost connection. */
const maxUnreadBytes = 1024 * 1024;

/** A comment this often keeps proxies from ending quiet streams, and shows in time that a reader is gone. */
const heartbeatMs = 15_000;
const redisCheckLimitMs = 5_000;

/** The open `/subscribe` and `/psubscribe` requests. */
export class EventStreams {
  readonly #subscriptions: Subscriptions;
  readonly #maxStreams: number;
  readonly #open = new Set<EventStream>();
  readonly #heartbeat: NodeJS.Timeout;

  constructor(subscriptions: Subscriptions, maxStreams: number) {
    this.#subscriptions = subscriptions;
    this.#maxStreams = maxStreams;
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref();
  }

  /**
   * Answers with the stream; resolves when it is open.
   *
   * @throws RestError when it cannot be opened; nothing has been written then
   */
  async open(kind: SubscriptionKind, names: readonly string[], response: ServerResponse): Promise<void> {
    if (names.length === 0) throw new RestError(400, `ERR wrong number of arguments for '${kind}' command`);
    if (this.#open.size >= this.#maxStreams) throw new RestError(503, "ERR max concurrent connections exceeded");
    const stream = new EventStream(response);
    const leave = (): void => {
      this.#open.delete(stream);
      for (const name of names) this.#subscriptions.remove(kind, name, stream);
    };
    this.#open.add(stream);
    response.once("close", leave);
    try {
      for (const name of names) await this.#subscriptions.add(kind, name, stream);
      // The reader may have left while Redis was subscribed to.
      if (response.destroyed) leave();
      else stream.begin(kind, names);
    } catch (error) {
      leave();
      throw error;
    }
  }

  close(): void {
    clearInterval(this.#heartbeat);
    for (const stream of this.#open) stream.end();
  }

  #beat(): void {
    for (const stream of this.#open) stream.beat();
    void this.#subscriptions.check(redisCheckLimitMs);
  }
}

/**
 * One response as an event stream, in Upstash's form: `data: message,<channel>,<text>`.
 *
 *   requested ──begin──► open ──end──► ended      Messages that come while it is requested wait until it has begun.
 *     └─────────────────end──────────► ended      It is answered with an error then, and never begins.
 */
class EventStream implements Subscriber {
  readonly #response: ServerResponse;
  #early: string[] | null = [];
  #isEnded = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** @throws RestError 503 when it has ended already: of several channels, the first may be lost again by now */
  begin(kind: SubscriptionKind, names: readonly string[]): void {
    if (this.#isEnded) throw subscriptionLost();
    this.#response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      // Makes nginx and what imitates it pass each event on at once.
      "x-accel-buffering": "no",
    });
    const frames = names.map((name, index) => frame(`${kind},${name},${index + 1}`));
    this.#response.write([...frames, ...(this.#early ?? [])].join(""));
    this.#early = null;
  }

  message(channel: Buffer, text: Buffer, pattern: string | undefined): void {
    const data = pattern === undefined ? `message,${channel},${text}` : `pmessage,${pattern},${channel},${text}`;
    if (this.#early === null) this.#write(frame(data));
    else this.#early.push(frame(data));
  }

  beat(): void {
    if (this.#early === null) this.#write(":\n\n");
  }

  end(): void {
    this.#isEnded = true;
    if (this.#early === null) this.#response.end();
  }

  #write(text: string): void {
    if (this.#isEnded) return;
    if (this.#response.writableLength > maxUnreadBytes) this.#response.destroy();
    else this.#response.write(text);
  }
}

/** Line breaks would end the field: each line is a `data` field of its own, which readers join again. */
function frame(data: string): string {
  return `data: ${data.replace(/\r\n|\r|\n/g, "\ndata: ")}\n\n`;
}
