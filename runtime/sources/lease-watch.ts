import { ChangeSignal } from "./change-signal.ts";

export interface LeaseWatchOptions {
  /** Pause between two looks; undefined while events tell everything. */
  readonly pauseMs: () => number | undefined;
  /** Whether a held lease was lost or its cancel asked, and is not known to be. One request, none when nothing is held. */
  anyChanged(): Promise<boolean>;
}

/** Ends waits for leases: at events and, when there are none, by looking. */
export class LeaseWatch {
  readonly #options: LeaseWatchOptions;
  readonly #signal = new ChangeSignal((isWaiting) => (isWaiting ? this.#schedule() : clearTimeout(this.#timer)));
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: LeaseWatchOptions) {
    this.#options = options;
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.#signal.wait(timeoutMs, signal);
  }

  heard(): void {
    this.#signal.notify();
  }

  /** Events may have been missed: look once. */
  look(): void {
    // What is wrong with the server is reported by the calls that use it.
    this.#looking ??= this.#options
      .anyChanged()
      .then((isChanged) => isChanged && this.#signal.notify())
      .catch(() => undefined)
      .finally(() => {
        this.#looking = undefined;
        this.#schedule();
      })
      .then(() => undefined);
  }

  async close(): Promise<void> {
    this.#signal.close();
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const pauseMs = this.#options.pauseMs();
    if (pauseMs !== undefined) this.#timer = setTimeout(() => this.look(), pauseMs);
  }
}
