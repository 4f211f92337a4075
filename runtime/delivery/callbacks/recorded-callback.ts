import type { JobCallback } from "#contract/callback.ts";
import type { Callback } from "./callback.ts";

/** Sends a callback to the app, and keeps a record of what the app has taken, for a person to look at. */
export class RecordedCallback implements Callback {
  readonly #app: Callback;
  readonly #record: Callback;

  constructor(app: Callback, record: Callback) {
    this.#app = app;
    this.#record = record;
  }

  get name(): string {
    return this.#app.name;
  }

  async send(callback: JobCallback, signal: AbortSignal): Promise<void> {
    await this.#app.send(callback, signal);
    await this.#record.send(callback, signal);
  }
}
