import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { awakeTimeout } from "#runtime/lib/awake-timeout.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { RunpodApi } from "./api.ts";
import type { Timings, Trouble } from "./options.ts";
import type { HttpAnswer } from "./protocol/take-answer.ts";

/*
 * A long poll that goes on as long as it is wanted. What comes in an answer is this container's from then on, and nobody can be
 * notified that it did not arrive: a poll is not broken off but where no job may come any more (the container stops, is paused or is
 * to be replaced), and then not while its answer comes in. A
 * process that was frozen finds its limits over and the answer in its socket: what has arrived is read before a limit counts.
 */
export interface PollerOptions {
  readonly api: Pick<RunpodApi, "get">;
  readonly timings: Timings;
  readonly log: Logger | undefined;
  readonly random: () => number;
  readonly monotonicMs: () => number;
  /** What is polled, for the log. */
  readonly what: string;
  /** The address of the next poll; null when none is wanted. */
  next(): string | null;
  /**
   * Returns what to do next: go on (pause where the answer came at once), or pause as after an error, which it does as well where
   * this throws.
   */
  onAnswer(answer: HttpAnswer): PollOutcome;
}

export type PollOutcome =
  | { readonly kind: "received" | "nothing" | "throttled" }
  | { readonly kind: "refused"; readonly message: string };

interface Poll {
  readonly startedAtMs: number;
  readonly over: Promise<Outcome>;
  /** Ends it. */
  readonly breaking: AbortController;
}

/** An answer that came, and at which this container failed. */
type Outcome = PollOutcome | { readonly kind: "broken"; readonly message: string };

/** Within which a platform that has a job answers. */
const answerMs = 300;
/** How long the rest of an answer that has begun may take at a stop. */
const restLimitMs = 3_000;
/** What came while the process was frozen is read by then. */
const arrivedMs = 1_000;
/** For the request, whose own clocks would go on in a frozen process: it is ended by its signal. */
const requestLimitMs = 24 * 60 * 60 * 1000;

export class Poller {
  readonly #options: PollerOptions;
  readonly #stopping = new AbortController();
  /** The poll that is under way. */
  #poll: Poll | null = null;
  #loop: Promise<void> | null = null;
  #isAnswered = false;
  #errors = 0;
  #trouble: Trouble | null = null;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  get trouble(): Trouble | null {
    return this.#trouble;
  }

  /** Something may be wanted now. */
  go(): void {
    if (this.#loop !== null || this.#stopping.signal.aborted || this.#options.next() === null) return;
    this.#loop = this.#run().finally(() => {
      this.#loop = null;
      this.go();
    });
  }

  /** Ends the poll that is under way, as `breakOff` does, and all that would follow; `stopped` waits for that. */
  stop(): void {
    this.#stopping.abort();
    void this.breakOff();
  }

  async stopped(): Promise<void> {
    await this.#loop;
  }

  /**
   * Ends the poll that is under way, at once unless its answer is coming in; resolves when what has come is here. One that has
   * just begun gets a moment: where jobs wait it is being answered, and what is handed out is not taken back.
   */
  async breakOff(): Promise<void> {
    const poll = this.#poll;
    if (poll === null) return;
    const youngMs = answerMs - (this.#options.monotonicMs() - poll.startedAtMs);
    if (youngMs > 0 && !this.#isAnswered) await within(youngMs, poll.over);
    // What is in the socket already is an answer too.
    for (let turns = 0; turns < 2; turns++) await nextTurn();
    const isAnswered = this.#poll === poll && this.#isAnswered;
    const end = () => poll.breaking.abort();
    const timer = isAnswered ? setTimeout(end, restLimitMs) : null;
    if (timer === null) end();
    await poll.over;
    if (timer !== null) clearTimeout(timer);
  }

  async #run(): Promise<void> {
    const { timings, monotonicMs } = this.#options;
    for (let url = this.#options.next(); url !== null && !this.#stopping.signal.aborted; url = this.#options.next()) {
      const startedAtMs = monotonicMs();
      const breaking = new AbortController();
      const over = this.#once(url, breaking.signal);
      this.#poll = { breaking, over, startedAtMs };
      const outcome = await over;
      this.#poll = null;
      const tookMs = monotonicMs() - startedAtMs;
      if (outcome.kind === "refused" || outcome.kind === "broken") await this.#failed(outcome);
      else this.#worked();
      if (outcome.kind === "throttled") await this.#pause(timings.throttledMs);
      if (outcome.kind === "nothing" && tookMs < 1000) await this.#pause(timings.floorMs);
    }
  }

  async #once(url: string, broken: AbortSignal): Promise<Outcome> {
    const { api, timings } = this.#options;
    this.#isAnswered = false;
    const { pollLimitMs, answerLimitMs } = timings;
    const limit = new AbortController();
    const end = () => limit.abort();
    let timer = setTimeout(() => {
      timer = setTimeout(end, arrivedMs);
    }, pollLimitMs);
    let clearRest = () => clearTimeout(timer);
    try {
      const answer = await api.get(url, {
        signal: AbortSignal.any([broken, limit.signal]),
        limitMs: requestLimitMs,
        onAnswer: () => {
          this.#isAnswered = true;
          clearTimeout(timer);
          clearRest = awakeTimeout(answerLimitMs, end);
        },
      });
      return this.#used(answer);
    } catch (error) {
      if (this.#isAnswered) this.#wasCut();
      if (broken.aborted) return { kind: "nothing" };
      if (!limit.signal.aborted) return { kind: "refused", message: toErrorReport(error).message };
      if (!this.#isAnswered) return { kind: "nothing" };
      return { kind: "refused", message: `its answer did not end within ${answerLimitMs / 1000} seconds` };
    } finally {
      clearRest();
      this.#isAnswered = false;
    }
  }

  #used(answer: HttpAnswer): Outcome {
    const { onAnswer, log, what } = this.#options;
    try {
      return onAnswer(answer);
    } catch (error) {
      log?.error(
        { error },
        `an answer to ${what} came and could not be used to its end: the fault is this container's`,
      );
      return { kind: "broken", message: toErrorReport(error).message };
    }
  }

  #wasCut(): void {
    const { log, what } = this.#options;
    log?.error(
      {},
      `an answer to ${what} was cut off: what was in it is lost here, and the platform's own limits end it`,
    );
  }

  #worked(): void {
    if (this.#errors > 0) this.#options.log?.info({}, `${this.#options.what} works again`);
    this.#errors = 0;
    this.#trouble = null;
  }

  async #failed({ kind, message }: Extract<Outcome, { readonly message: string }>): Promise<void> {
    const { timings, random, log, what } = this.#options;
    const { errorPausesMs } = timings;
    const pauseMs = errorPausesMs[Math.min(this.#errors, errorPausesMs.length - 1)] ?? 0;
    this.#errors++;
    const report: ErrorReport =
      kind === "refused"
        ? { code: "QUEUE_UNREACHABLE", message: `RunPod does not answer ${what}: ${message}.` }
        : { code: "INTERNAL", message: `What RunPod has answered ${what} could not be used: ${message}.` };
    this.#trouble = { ...report, sinceMs: this.#trouble?.sinceMs ?? Date.now() };
    const delayMs = Math.round(pauseMs * (0.5 + random() / 2));
    log?.[this.#errors === 1 ? "error" : "warn"]({ why: message, next_try_in_ms: delayMs }, `${what} failed`);
    await this.#pause(delayMs);
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}
