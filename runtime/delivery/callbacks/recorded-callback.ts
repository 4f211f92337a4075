import type { JobCallback } from "#contract/callback.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Callback } from "./callback.ts";

/**
 * Sends a callback to the app, and keeps a record of what the app has taken, for a person to look at. One that cannot be
 * recorded, as on a full disk, is not sent once more for that.
 */
export class RecordedCallback implements Callback {
  readonly #app: Callback;
  readonly #record: Callback;
  readonly #log: Logger;

  constructor(app: Callback, record: Callback, log: Logger) {
    this.#app = app;
    this.#record = record;
    this.#log = log;
  }

  get name(): string {
    return this.#app.name;
  }

  async send(callback: JobCallback, signal: AbortSignal): Promise<void> {
    await this.#app.send(callback, signal);
    await this.#record.send(callback, signal).catch((error: unknown) => {
      this.#log.warn({ job_id: callback.job_id, error }, "a callback that the app has taken could not be recorded");
    });
  }
}
