/** What clocks may differ by that nobody has set. */
const toleranceMs = 1000;

/**
 * Leases run out by the clock on the wall, since several processes, and the next one to start, go by them. When that is set
 * forward, or the machine has slept, all of them seem to have run out at once, those of live containers too. So for one
 * lease time after a jump nobody's lease is taken for lost: who is alive has renewed it by then.
 */
export class ClockJump {
  readonly #nowMs: () => number;
  readonly #steadyMs: () => number;
  readonly #graceMs: number;
  #seen: { readonly wallMs: number; readonly steadyMs: number };
  #graceUntilMs = Number.NEGATIVE_INFINITY;

  /** @param steadyMs a clock that nobody sets and that stands still while the machine sleeps */
  constructor(nowMs: () => number, steadyMs: () => number, graceMs: number) {
    this.#nowMs = nowMs;
    this.#steadyMs = steadyMs;
    this.#graceMs = graceMs;
    this.#seen = { wallMs: nowMs(), steadyMs: steadyMs() };
  }

  /** Whether the clock has jumped forward within the last lease time. */
  isRecent(): boolean {
    const now = { wallMs: this.#nowMs(), steadyMs: this.#steadyMs() };
    const jumpMs = now.wallMs - this.#seen.wallMs - (now.steadyMs - this.#seen.steadyMs);
    this.#seen = now;
    if (jumpMs > toleranceMs) this.#graceUntilMs = now.steadyMs + this.#graceMs;
    return now.steadyMs < this.#graceUntilMs;
  }
}
