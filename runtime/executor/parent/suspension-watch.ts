import { isStopped } from "../watchdog/processes.ts";

/*
 * Finds out whether an executor has died of having been stopped, which is nobody's fault:
 *
 *   - it alone was stopped (SIGSTOP) for longer than a lease lasts: `onExceeded`, and its end is put down to that;
 *   - this process stood still for so long (SIGSTOP, a laptop that slept): its watchdog has killed the executor by then, or
 *     the GPU was lost. A timer that comes late shows it, by the steady clock, which goes on while a process is stopped,
 *     or by the wall's, which goes on while the machine sleeps.
 */
export interface SuspensionWatchOptions {
  readonly pid: number;
  /** How long is too long. */
  readonly maxMs: number;
  /** The executor is stopped for too long. Called once. */
  readonly onExceeded: () => void;
  readonly isStopped?: (pid: number) => boolean;
  readonly steadyMs?: () => number;
  readonly wallMs?: () => number;
}

/** How long after this process went on the end of an executor is put down to that. */
const aftermathMs = 5000;
const lookEveryMs = { min: 100, max: 5000 };

export class SuspensionWatch {
  readonly #options: Required<SuspensionWatchOptions>;
  readonly #timer: NodeJS.Timeout;
  #lastLook: { readonly steadyMs: number; readonly wallMs: number };
  /** When this process went on after it had stood still, by the steady clock. */
  #wentOnAtMs = Number.NEGATIVE_INFINITY;
  #stoppedSinceMs: number | null = null;
  #isExceeded = false;

  constructor(options: SuspensionWatchOptions) {
    this.#options = { isStopped, steadyMs: () => performance.now(), wallMs: Date.now, ...options };
    this.#lastLook = this.#now();
    const everyMs = Math.min(lookEveryMs.max, Math.max(lookEveryMs.min, options.maxMs / 4));
    this.#timer = setInterval(() => this.#look(), everyMs).unref();
  }

  /** The executor has ended. True when that is put down to a stop. */
  close(): boolean {
    clearInterval(this.#timer);
    this.#noteStandstill();
    return this.#isExceeded || this.#now().steadyMs - this.#wentOnAtMs < aftermathMs;
  }

  #look(): void {
    this.#noteStandstill();
    const { steadyMs } = this.#now();
    if (!this.#options.isStopped(this.#options.pid)) this.#stoppedSinceMs = null;
    else this.#stoppedSinceMs ??= steadyMs;
    if (this.#isExceeded || this.#stoppedSinceMs === null) return;
    if (steadyMs - this.#stoppedSinceMs < this.#options.maxMs) return;
    this.#isExceeded = true;
    this.#options.onExceeded();
  }

  #noteStandstill(): void {
    const [before, now] = [this.#lastLook, this.#now()];
    this.#lastLook = now;
    const stoodStillMs = Math.max(now.steadyMs - before.steadyMs, now.wallMs - before.wallMs);
    if (stoodStillMs >= this.#options.maxMs) this.#wentOnAtMs = now.steadyMs;
  }

  #now() {
    return { steadyMs: this.#options.steadyMs(), wallMs: this.#options.wallMs() };
  }
}
