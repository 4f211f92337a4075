import { randomUUID } from "node:crypto";
import { type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { expiredError, expiryMomentOf, expirySecondsOf } from "#contract/expiry.ts";
import type { Job } from "#contract/job.ts";
import type { ReleaseReason } from "#contract/release-reason.ts";
import type { Lease, LeaseKey, Offer, SettleOutcome, TakeRequest, UnreportedEnd } from "../job-source.ts";
import type { JobChannel } from "./job-channel.ts";
import type { RunpodJob } from "./protocol/take-answer.ts";

/*
 * The jobs that RunPod has given to this container, from their take to their end. RunPod takes none back, so that what would
 * go back to a queue waits here, in memory, for its next attempt:
 *
 *   waiting ──take──► leased ──settled──► gone
 *      ▲  │              │
 *      └──┼─retry, release
 *         └── stopped from outside, by the container's stop, or by its own time: an end, which the next take answers
 *
 * One that RunPod has stopped may be handed out anew while its attempt winds down: then it waits again when that is gone.
 */
export interface HeldJob {
  readonly runpodId: string;
  readonly job: Job;
  /** Why it must not be run. */
  rejection: ErrorReport | undefined;
  /** On the process's own clock, and by the calendar. */
  readonly receivedAtMs: number;
  readonly queuedAtMs: number;
  /** Attempts charged so far. */
  attempt: number;
  dueAtMs: number;
  /** Of the lease that counts; null while it waits. */
  token: string | null;
  previousError: ErrorReport | undefined;
  /** Why it was given back last. */
  reason: ReleaseReason | undefined;
  isStopped: boolean;
  /** Since when it waits for something that is not offered here, also while it was tried in between; null when it does not. */
  unofferedSinceMs: number | null;
  /** Of all its attempts. */
  channel: JobChannel | null;
  /** As it was handed out once more, for when it turns out that RunPod has stopped what is here of it. */
  again: Pick<RunpodJob, "id" | "input"> | null;
}

export interface Clocks {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
}

interface Settled {
  readonly call: string;
  readonly outcome: SettleOutcome;
}

const keptTokens = 1000;

/** A token says whose it is, so that a result can be posted by a process that has not taken the job itself. */
export function runpodIdOf({ token }: Pick<LeaseKey, "token">): string {
  return token.slice(token.indexOf(" ") + 1);
}

export class HeldJobs {
  readonly #clocks: Clocks;
  readonly #jobs = new Map<string, HeldJob>();
  readonly #settled = new Map<string, Settled>();
  readonly #again: Pick<RunpodJob, "id" | "input">[] = [];
  readonly #onChange: () => void;

  /** @param onChange called when it is others that are held */
  constructor(clocks: Clocks, onChange: () => void) {
    this.#clocks = clocks;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#jobs.size;
  }

  get all(): readonly HeldJob[] {
    return [...this.#jobs.values()];
  }

  /** RunPod's. */
  get ids(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  get #waiting(): readonly HeldJob[] {
    return this.all.filter(({ token, isStopped }) => token === null && !isStopped);
  }

  get(runpodId: string): HeldJob | undefined {
    return this.#jobs.get(runpodId);
  }

  add(runpodId: string, job: Job, rejection: ErrorReport | undefined): void {
    const receivedAtMs = this.#clocks.monotonicMs();
    this.#jobs.set(runpodId, {
      runpodId,
      job,
      rejection,
      receivedAtMs,
      queuedAtMs: this.#clocks.nowMs(),
      attempt: 0,
      dueAtMs: receivedAtMs,
      token: null,
      previousError: undefined,
      reason: undefined,
      isStopped: false,
      unofferedSinceMs: null,
      channel: null,
      again: null,
    });
    this.#onChange();
  }

  /** The job of a lease that counts. */
  ofToken({ token }: Pick<LeaseKey, "token">): HeldJob | undefined {
    const held = this.#jobs.get(runpodIdOf({ token }));
    return held?.token === token ? held : undefined;
  }

  remove(held: HeldJob): void {
    if (this.#jobs.get(held.runpodId) === held) this.#jobs.delete(held.runpodId);
    if (held.isStopped && held.again !== null) this.#again.push(held.again);
    this.#onChange();
  }

  /** Those that were handed out anew, and whose stopped ones are gone since the last call. */
  takeAgain(): readonly Pick<RunpodJob, "id" | "input">[] {
    return this.#again.splice(0);
  }

  lease(held: HeldJob, leaseSeconds: number): Lease {
    const { runpodId, job, previousError, rejection } = held;
    held.attempt++;
    held.token = `${randomUUID()} ${runpodId}`;
    const takenAtMs = this.#clocks.nowMs();
    return {
      jobId: job.id,
      job,
      token: held.token,
      attempt: held.attempt,
      run: 1,
      requestId: runpodId,
      queuedAtMs: Math.min(held.queuedAtMs, takenAtMs),
      takenAtMs,
      expiresAtMs: takenAtMs + leaseSeconds * 1000,
      ...(previousError === undefined ? {} : { previousError }),
      ...(rejection === undefined ? {} : { rejection }),
    };
  }

  /** Back to those that wait. */
  putBack(held: HeldJob, delaySeconds: number): void {
    held.token = null;
    held.dueAtMs = this.#clocks.monotonicMs() + Math.max(0, delaySeconds) * 1000;
    held.channel?.nextAttempt();
  }

  /**
   * When something becomes of those that wait by time alone, in milliseconds from now: one is due, has expired, or has waited
   * for too long for what is not offered. Null when nothing does.
   */
  nextChangeInMs(unofferedLimitMs: number): number | null {
    const nowMs = this.#clocks.monotonicMs();
    const moments = this.#waiting
      .filter(({ rejection }) => rejection === undefined)
      .flatMap(({ job, dueAtMs, receivedAtMs, unofferedSinceMs }) => {
        const [seconds, moment] = [expirySecondsOf(job), expiryMomentOf(job)];
        return [
          ...(dueAtMs > nowMs ? [dueAtMs - nowMs] : []),
          ...(unofferedSinceMs === null ? [] : [unofferedSinceMs + unofferedLimitMs - nowMs]),
          ...(seconds === null ? [] : [receivedAtMs + seconds * 1000 - nowMs]),
          ...(moment === null ? [] : [moment - this.#clocks.nowMs()]),
        ];
      });
    return moments.length === 0 ? null : Math.max(0, Math.min(...moments));
  }

  /** What an earlier call with this token answered: the same again for the same call, else "lost"; null when there was none. */
  settledBefore({ token }: LeaseKey, call: string): SettleOutcome | null {
    const before = this.#settled.get(token);
    if (before === undefined) return null;
    return before.call === call ? before.outcome : "lost";
  }

  isSettled({ token }: LeaseKey): boolean {
    return this.#settled.has(token);
  }

  remember({ token }: LeaseKey, call: string, outcome: SettleOutcome): SettleOutcome {
    this.#settled.set(token, { call, outcome });
    const [oldest] = this.#settled.keys();
    if (this.#settled.size > keptTokens && oldest !== undefined) this.#settled.delete(oldest);
    return outcome;
  }

  /** Rejects those that wait and whose time is over, whether or not anybody takes for their worker. */
  judge(isOffered: (job: Job) => boolean, unofferedLimitMs: number): void {
    const nowMs = this.#clocks.monotonicMs();
    for (const held of this.#waiting) {
      this.#expire(held, nowMs);
      if (isOffered(held.job)) {
        // One that was given back for a reason has not had what it needs by that: its clock goes on.
        if (held.reason === undefined) held.unofferedSinceMs = null;
        continue;
      }
      held.unofferedSinceMs ??= nowMs;
      if (nowMs - held.unofferedSinceMs >= unofferedLimitMs) held.rejection ??= unofferedError(held);
    }
  }

  /** Those that wait and must not be run. */
  get rejected(): readonly HeldJob[] {
    return this.#waiting.filter(({ rejection }) => rejection !== undefined);
  }

  /** Those that can start now, for one worker: highest priority first, then the oldest. */
  due(request: TakeRequest, workerOf: (type: string) => string | undefined): readonly HeldJob[] {
    const nowMs = this.#clocks.monotonicMs();
    const ready = this.#waiting.filter((held) => {
      // What must not run needs no executor of its own.
      if (held.rejection !== undefined) return true;
      if (held.dueAtMs > nowMs || workerOf(held.job.type) !== request.worker) return false;
      if (request.skip?.some(({ userId, type }) => userId === held.job.user_id && type === held.job.type)) return false;
      return isOffered(held.job, request.offer);
    });
    return ready
      .toSorted((one, other) => other.job.priority - one.job.priority || one.receivedAtMs - other.receivedAtMs)
      .slice(0, request.slots);
  }

  end(held: HeldJob, status: UnreportedEnd["status"], error?: ErrorReport): UnreportedEnd {
    const { job, attempt } = held;
    this.remove(held);
    return {
      jobId: job.id,
      job,
      run: 1,
      attempt,
      status,
      ...(error === undefined ? {} : { error }),
      endedAtMs: this.#clocks.nowMs(),
    };
  }

  /** Its own time goes by this process's clock, its own moment by the calendar. */
  #expire(held: HeldJob, nowMs: number): void {
    const [seconds, moment] = [expirySecondsOf(held.job), expiryMomentOf(held.job)];
    const isMomentOver = moment !== null && this.#clocks.nowMs() > moment;
    const isTimeOver = seconds !== null && nowMs - held.receivedAtMs > seconds * 1000;
    if (isMomentOver || isTimeOver)
      held.rejection ??= expiredError(held.job, isMomentOver ? moment : Number.NEGATIVE_INFINITY);
  }
}

export function isOffered(job: Job, offer: Offer | undefined): boolean {
  if (offer === undefined) return true;
  if (!offer.types.includes(job.type)) return false;
  const { model_variant: model } = job;
  return typeof model === "string" ? offer.models.includes(model) : offer.defaultModelTypes.includes(job.type);
}

/** There is no queue on which the job could wait for another container. */
function unofferedError({ job, reason }: HeldJob): ErrorReport {
  const model = typeof job.model_variant === "string" ? ` with the model ${job.model_variant}` : "";
  const message = `This container cannot run ${job.type}${model}, and RunPod takes no job back.`;
  if (reason === undefined) return { code: "CALL_NOT_OFFERED", message };
  return { ...toErrorReport({ code: reason.code, message: `${message} ${reason.message}` }) };
}
