import { setTimeout as pause } from "node:timers/promises";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import type { UsageCounter } from "./usage.ts";

export interface EventStreamOptions {
  readonly url: string;
  readonly token: string;
  readonly channel: string;
  readonly connectTimeoutMs: number;
  /**
   * A connection that died without a word is noticed by making a new one from time to time. `fetch` itself ends one on
   * which nothing came for five minutes.
   */
  readonly maxAgeMs: number;
  readonly random: () => number;
  readonly usage: UsageCounter;
  onMessage(text: string): void;
  /** The stream is live from now on. What was published before is not repeated: look once. */
  onOpen(): void;
  onClosed(reason: string): void;
}

const reconnectPause = { baseSeconds: 0.5, maxSeconds: 60 };
const maxEventCharacters = 65_536;

/**
 * Reads the server's event stream of one channel, and connects again whenever it ends. The library's `subscribe` does
 * neither that nor tell when the stream has ended.
 */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #closing = new AbortController();
  #isLive = false;
  #loop: Promise<void> | undefined;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** True while a change is heard of the moment that it is published. */
  get isLive(): boolean {
    return this.#isLive;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      const reason = await this.#readUntilItEnds().then(
        () => "the server ended it",
        (error: unknown) => (error instanceof Error ? error.message : "it broke"),
      );
      failures = this.#isLive ? 1 : failures + 1;
      this.#isLive = false;
      if (signal.aborted) return;
      this.#options.onClosed(reason);
      const { baseSeconds, maxSeconds } = reconnectPause;
      const seconds = retryDelaySeconds(failures, baseSeconds, maxSeconds, this.#options.random);
      await pause(seconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }

  async #readUntilItEnds(): Promise<void> {
    const { url, token, channel, connectTimeoutMs, maxAgeMs, usage, random } = this.#options;
    const connecting = new AbortController();
    const limit = setTimeout(() => connecting.abort(), connectTimeoutMs);
    const age = AbortSignal.timeout(Math.round(maxAgeMs * (0.75 + random() / 4)));
    // SUBSCRIBE, and UNSUBSCRIBE when it ends.
    usage.count("events", 2);
    usage.countRequest();
    try {
      const response = await fetch(`${url}/subscribe/${encodeURIComponent(channel)}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" },
        signal: AbortSignal.any([this.#closing.signal, connecting.signal, age]),
      });
      if (!response.ok || response.body === null) {
        await response.body?.cancel();
        throw new Error(`the server answered ${response.status}`);
      }
      const parser = new EventSourceParserStream({ maxBufferSize: maxEventCharacters });
      for await (const { data } of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser)) {
        if (!this.#isLive) clearTimeout(limit);
        this.#receive(data);
      }
    } finally {
      clearTimeout(limit);
    }
  }

  /** `subscribe,<channel>,<count>` when it is live, then `message,<channel>,<text>`; a channel has no comma. */
  #receive(data: string): void {
    const [kind, , ...rest] = data.split(",");
    if (kind === "message") this.#options.onMessage(rest.join(","));
    if (kind !== "subscribe") return;
    this.#isLive = true;
    this.#options.onOpen();
  }
}
