import { ChangeSignal } from "./change-signal.ts";

export interface TimedSignalOptions {
  /** Milliseconds until the next act, asked each time that the timer is set; not positive: at once, infinite: not of itself. */
  inMs(): number;
  /** What is due: a look at the server, whose end sets the timer anew, or undefined when nothing remains to be done. */
  act(): Promise<void> | undefined;
}

/** A timer that is set for longer would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** A {@link ChangeSignal} with a timer that runs while somebody waits, one look at a time. */
export class TimedSignal {
  readonly #options: TimedSignalOptions;
  readonly #signal = new ChangeSignal((isWaiting) => this.#waiting(isWaiting));
  #timer: NodeJS.Timeout | undefined;
  #isWaiting = false;
  #looking: Promise<void> | undefined;

  constructor(options: TimedSignalOptions) {
    this.#options = options;
  }

  get isLooking(): boolean {
    return this.#looking !== undefined;
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.#signal.wait(timeoutMs, signal);
  }

  notify(): void {
    this.#signal.notify();
  }

  forget(): () => void {
    return this.#signal.forget();
  }

  /** The next act has another time than before. */
  schedule(): void {
    if (!this.#isWaiting || this.#looking !== undefined) return;
    clearTimeout(this.#timer);
    const inMs = Math.max(0, Math.ceil(this.#options.inMs()));
    this.#timer = setTimeout(() => this.#act(), Math.min(inMs, maxTimerMs));
  }

  /** Ends the waits; resolves when no look is under way. */
  async close(): Promise<void> {
    this.#signal.close();
    await this.#looking;
  }

  #waiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    if (isWaiting) this.schedule();
    else clearTimeout(this.#timer);
  }

  #act(): void {
    // What is wrong with the server is reported by the calls that use it; a wait that ended at it would spin.
    this.#looking = this.#options
      .act()
      ?.catch(() => undefined)
      .finally(() => {
        this.#looking = undefined;
        this.schedule();
      });
  }
}
