import { setTimeout as pause } from "node:timers/promises";
import { boundedRequest } from "#runtime/lib/bounded-request.ts";
import type { Logger } from "#runtime/observe/log.ts";

/*
 * Notifies the address that came with a job of its end, as RunPod does: once, and twice more, ten seconds apart, where it does
 * not answer 200. In the memory of this process; what is durable is the job's record.
 */
const tries = 3;
const limitMs = 15_000;

export interface WebhooksOptions {
  readonly log: Logger;
  readonly pauseMs?: number;
  /** Answers the status. By default any address is called, as it stands. */
  post?(url: string, body: Uint8Array, signal: AbortSignal): Promise<number>;
}

export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #closing = new AbortController();

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async send(url: string, body: unknown): Promise<void> {
    const { log, pauseMs = 10_000 } = this.#options;
    const { signal } = this.#closing;
    for (let left = tries; left > 0 && !signal.aborted; left--) {
      const why = await this.#post(url, Buffer.from(JSON.stringify(body)));
      if (why === null) return;
      log.warn({ why, tries_left: left - 1 }, "a webhook was not taken");
      if (left > 1) await pause(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  close(): void {
    this.#closing.abort();
  }

  /** Null when it was taken. */
  async #post(url: string, body: Uint8Array): Promise<string | null> {
    const { post = postAnywhere } = this.#options;
    try {
      const status = await post(url, body, this.#closing.signal);
      return status === 200 ? null : `it answers ${status}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

async function postAnywhere(url: string, body: Uint8Array, signal: AbortSignal): Promise<number> {
  const headers = { "content-type": "application/json", "user-agent": "ourvidz-worker" };
  return (await boundedRequest({ method: "POST", url, headers, body, signal, idleMs: limitMs, limitMs })).status;
}
