import { retryPauseMs } from "./retry-pause.ts";

/*
 * Keeps hundreds of finished jobs from knocking at a closed door, each by its own clock: one gate before the asset store,
 * one before the callback.
 *
 *   open ──several jobs failed and none came through, or one was throttled──► closed, for a while
 *   closed ──the while is over──► one job is let through, the oldest that is due; the others wait on
 *              it comes through ──► open, and all that wait go in order         it fails ──► closed, for longer
 *
 * One job that fails by itself closes nothing: it has its own pauses.
 */
export interface OutageGateOptions {
  /** How many different jobs have to fail. */
  readonly threshold: number;
  readonly nowMs: () => number;
  readonly random: () => number;
}

export interface GateFailure {
  /** What the other side requested. */
  readonly delaySeconds?: number | undefined;
  /** It does not pass by itself: a person has to mend something. */
  readonly needsMending?: boolean;
  readonly error?: unknown;
}

/** Whoever waits for the one that is let through looks again after that, and at once when it came through. */
export const probeMs = 5000;

export class OutageGate {
  readonly #options: OutageGateOptions;
  readonly #failed = new Set<number>();
  /** 0: open. */
  #closings = 0;
  #closedUntilMs = 0;
  #probe: number | null = null;
  #needsMending = false;
  #reason: unknown;

  constructor(options: OutageGateOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#closings > 0;
  }

  /** Why it is closed; undefined when it is open. */
  get reason(): unknown {
    return this.isClosed ? this.#reason : undefined;
  }

  /** True when it was closed by what only a person can mend. */
  get needsMending(): boolean {
    return this.isClosed && this.#needsMending;
  }

  /** Milliseconds until somebody may go; 0 when it is open, or lets one through that has not come yet. */
  get waitMs(): number {
    if (!this.isClosed) return 0;
    const leftMs = this.#closedUntilMs - this.#options.nowMs();
    if (leftMs > 0) return leftMs;
    return this.#probe === null ? 0 : probeMs;
  }

  /** Milliseconds that the row has to wait; 0 when it may go, and then it has to report how it went. */
  enter(rowId: number): number {
    if (!this.isClosed || this.#probe === rowId) return 0;
    const waitMs = this.waitMs;
    if (waitMs === 0) this.#probe = rowId;
    return waitMs;
  }

  /** Lets the next one through at once: somebody has mended what was wrong, or wants to know. */
  letThrough(): void {
    this.#closedUntilMs = 0;
    this.#probe = null;
  }

  /** True when the gate was closed until now: those that wait can go. */
  succeeded(): boolean {
    const wasClosed = this.isClosed;
    this.#failed.clear();
    this.#closings = 0;
    this.#probe = null;
    return wasClosed;
  }

  /** Milliseconds until the next one is let through; null when the gate stays open. */
  failed(rowId: number, { delaySeconds, needsMending = false, error }: GateFailure): number | null {
    const { threshold, nowMs, random } = this.#options;
    this.#failed.add(rowId);
    const isProbe = this.#probe === rowId;
    if (isProbe) this.#probe = null;
    // It went before the gate was closed.
    else if (this.isClosed) return Math.max(0, this.#closedUntilMs - nowMs());
    else if (delaySeconds === undefined && this.#failed.size < threshold) return null;
    this.#closings++;
    this.#needsMending = needsMending;
    this.#reason = error;
    const pauseMs = delaySeconds === undefined ? retryPauseMs(this.#closings, random) : delaySeconds * 1000;
    this.#closedUntilMs = nowMs() + pauseMs;
    return pauseMs;
  }
}
