import { removeWork } from "#runtime/container/data-folder.ts";
import type { Delivery } from "#runtime/delivery/delivery.ts";
import type { EndedJob } from "#runtime/delivery/new-entries.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { AttemptEnding, Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordFailure } from "#runtime/observe/metrics/ports.ts";
import type { TracedLease } from "#runtime/observe/tracing/attempt-trace.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import {
  type JobSource,
  type Lease,
  type SettleOutcome,
  stoppedError,
  type UnreportedEnd,
} from "#runtime/sources/job-source.ts";
import type { Settlement } from "./attempt.ts";
import { publishEnd } from "./job-end.ts";
import type { JobEvents } from "./job-events.ts";

/*
 * The one owner of ends: carries out what was decided of an attempt, and reports what came to its end elsewhere.
 *
 *   complete, fail, cancelled   outbox → (upload) → callback → settle: the delivery
 *   retry, release              settle, then what the job became: requeued, or at its end (cancelled, or failed where its
 *                               source cannot have it back) → outbox → reported; a job that its source has forgotten is put
 *                               on its queue again
 *   drop                        somebody else has the job: nothing
 *   an end that take answered   outbox → reported
 *
 * In the last two the source knows the end already and keeps it until `reported`: a container that dies before that
 * leaves it to another one. So every job gets one final callback.
 */
export interface SettlerOptions {
  readonly registry: Pick<Registry, "get">;
  readonly delivery: Delivery;
  readonly events: JobEvents;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: () => number;
  /** Puts a job that its source has forgotten on its queue again, with its attempts forgotten. */
  restore(source: string, lease: Lease, delaySeconds: number): Promise<void>;
}

/** An attempt that is over, as far as it went. */
export interface SettledAttempt {
  /** How long it ran, by a clock that nobody sets; null when nothing did. */
  readonly ranMs: number | null;
  readonly workFolder: string;
}

const backoff = { baseSeconds: 2, maxSeconds: 300 };
const finalEndings = { complete: "completed", fail: "failed", cancelled: "cancelled" } as const;

export class Settler {
  readonly #options: SettlerOptions;
  /** Ends whose callbacks are in the outbox, as rows of this process, and that are not confirmed to the source yet. */
  readonly #recorded = new Set<string>();
  /** Ends that are being written down: one that is answered once more meanwhile is not confirmed before it is on disk. */
  readonly #underWay = new Set<string>();

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** How many ends this process has written down whose source has not heard of that yet. */
  get unconfirmedEnds(): number {
    return this.#recorded.size;
  }

  /** Rejects when the source, or the disk, refuses for so long that it has to be left to the lease, which runs out. */
  async settle(source: JobSource, lease: TracedLease, settlement: Settlement, attempt: SettledAttempt): Promise<void> {
    try {
      await this.#carryOut(source, lease, settlement, attempt);
    } catch (error) {
      this.#options.delivery.forget(lease);
      throw error;
    }
  }

  async #carryOut(
    source: JobSource,
    lease: TracedLease,
    settlement: Settlement,
    attempt: SettledAttempt,
  ): Promise<void> {
    const { delivery, log } = this.#options;
    const measure = this.#measure(source, lease, settlement, attempt);
    // The source may take its time: nobody hears of progress of an attempt that is over.
    delivery.endProgress(lease);
    // Before anything is written down: half-made files may be what fills the disk.
    if (settlement.kind !== "complete") await this.#removeFiles(lease, attempt);
    switch (settlement.kind) {
      case "complete":
      case "fail":
      case "cancelled": {
        const error = settlement.kind === "fail" ? { error: settlement.error } : {};
        measure(finalEndings[settlement.kind]);
        log.info({ ...fieldsOf(lease), outcome: settlement.kind, ...error }, "job ended");
        await delivery.finish(source, lease, settlement, attempt);
        break;
      }
      case "retry": {
        const { error } = settlement;
        const delaySeconds = settlement.delaySeconds ?? this.#backoffSeconds(lease);
        log.warn({ ...fieldsOf(lease), error, delay_seconds: delaySeconds }, "job will be retried");
        const became = await this.#requeued(
          source,
          lease,
          await source.retry(lease, { error, delaySeconds }),
          delaySeconds,
        );
        measure(became === "requeued" ? "retried" : endingOf(became));
        await this.#afterRequeue(source, lease, attempt, became, { error, retryInSeconds: delaySeconds });
        break;
      }
      case "release": {
        const { condition, delaySeconds = 0 } = settlement;
        if (delaySeconds > 0)
          log.info({ ...fieldsOf(lease), delay_seconds: delaySeconds }, "job put back: others' go first");
        else if (condition === undefined) log.info(fieldsOf(lease), "job given back to its queue");
        const given = await source.release(lease, delaySeconds, condition ?? settlement.reason);
        const became = await this.#requeued(source, lease, given, delaySeconds);
        measure(became === "requeued" ? "released" : endingOf(became));
        const delay = delaySeconds > 0 ? { retryInSeconds: delaySeconds } : {};
        await this.#afterRequeue(source, lease, attempt, became, {
          ...(condition === undefined ? {} : { condition }),
          ...delay,
        });
        break;
      }
      case "drop":
        measure("lost");
        delivery.forget(lease);
        log.warn(fieldsOf(lease), "job dropped: its lease is lost");
        break;
    }
  }

  /** Reports jobs that came to their ends while no attempt ran. Never rejects: what fails is answered by a later take. */
  async report(source: JobSource, ends: readonly UnreportedEnd[]): Promise<void> {
    try {
      await this.#reportEnds(
        source,
        ends.map(({ status, error, ...end }) => ({
          ...end,
          token: "",
          ranMs: null,
          settlement: status === "failed" ? { kind: "fail", error: error ?? unknownError } : { kind: "cancelled" },
        })),
      );
    } catch (error) {
      const { log } = this.#options;
      log.error({ error, ends: ends.length }, "ends of jobs cannot be recorded; trying again when their time is over");
    }
  }

  /** What the job became by its retry or release. */
  async #afterRequeue(
    source: JobSource,
    lease: TracedLease,
    { ranMs }: SettledAttempt,
    became: SettleOutcome,
    why: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const { delivery, events } = this.#options;
    if (became === "cancelled" || became === "failed") {
      const settlement = became === "failed" ? ({ kind: "fail", error: stoppedError } as const) : cancelledEnd;
      await this.#reportEnds(source, [{ ...lease, ranMs, settlement }]);
      return;
    }
    delivery.forget(lease);
    if (became !== "requeued") return;
    events.emit(lease.jobId, { kind: "state", status: "queued", attempt: lease.attempt, ...why });
  }

  /**
   * Records ends that their source knows, and notifies it of that. What is being recorded at this moment is left to the call
   * that does, and what was recorded before is only confirmed once more.
   */
  async #reportEnds(source: JobSource, ends: readonly EndedJob[]): Promise<void> {
    const own = ends.filter((end) => !this.#underWay.has(keyOf(source, end)));
    const keys = own.map((end) => keyOf(source, end));
    const forget = (end: EndedJob) => this.#recorded.delete(keyOf(source, end));
    const fresh = own.filter((end) => !this.#recorded.has(keyOf(source, end)));
    const { promise: confirmed, resolve } = Promise.withResolvers<boolean>();
    for (const key of keys) this.#underWay.add(key);
    try {
      const held = await this.#options.delivery.reportEnds(source, fresh, confirmed, forget);
      for (const end of held) this.#recorded.add(keyOf(source, end));
    } finally {
      for (const key of keys) this.#underWay.delete(key);
    }
    try {
      for (const end of fresh) this.#publish(end);
      resolve(await this.#reported(source, own));
    } finally {
      // Whoever waits for it sees to it: after the above this changes nothing.
      resolve(false);
    }
  }

  #publish(end: EndedJob): void {
    const { jobId, job, attempt, settlement, token } = end;
    const reason = settlement.kind === "fail" ? { error: settlement.error } : {};
    const status = finalEndings[settlement.kind];
    publishEnd(this.#options, { jobId, type: job.type, attempt, status, ...reason });
    const fields = { ...fieldsOf(end), outcome: status, ...reason };
    this.#options.log.info(fields, token === "" ? "job ended while nobody ran it" : "job ended");
  }

  /** What the job became in the end. One that its source has forgotten would wait for ever in the app. */
  async #requeued(source: JobSource, { taken }: TracedLease, became: SettleOutcome, delaySeconds: number) {
    if (became !== "unknown") return became;
    await this.#options.restore(source.name, taken, delaySeconds);
    return "requeued";
  }

  /** False when the source could not be notified: the delivery sees to it. */
  async #reported(source: JobSource, ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<boolean> {
    try {
      await source.reported(ends);
      for (const end of ends) this.#recorded.delete(keyOf(source, end));
      return true;
    } catch (error) {
      recordFailure(this.#options.metrics, "source", error);
      this.#options.log.warn({ error, ends: ends.length }, "the source could not be notified of reported ends yet");
      return false;
    }
  }

  /** The returned function is given how the attempt ended. */
  #measure({ name }: JobSource, lease: TracedLease, settlement: Settlement, { ranMs }: SettledAttempt) {
    const { metrics } = this.#options;
    const { type } = lease.job;
    return (outcome: AttemptEnding) => {
      metrics.attempts.add({ type, outcome });
      if (ranMs !== null) metrics.runSeconds.observe({ type, outcome }, ranMs / 1000);
      if (outcome === "lost") metrics.leasesLost.add({ source: name });
      lease.trace.ended(outcome, "error" in settlement ? settlement.error : undefined);
    };
  }

  #backoffSeconds({ job, attempt }: Lease): number {
    const base = this.#options.registry.get(job.type)?.retry.backoffSeconds ?? backoff.baseSeconds;
    return retryDelaySeconds(attempt, base, backoff.maxSeconds, this.#options.random);
  }

  async #removeFiles(lease: Lease, { workFolder }: SettledAttempt): Promise<void> {
    await removeWork(workFolder).catch((error: unknown) => {
      this.#options.log.warn({ ...fieldsOf(lease), error }, "a work folder could not be removed");
    });
  }
}

const unknownError = { code: "INTERNAL", message: "The job failed and left no reason." } as const;

const cancelledEnd = { kind: "cancelled" } as const;

function endingOf(became: SettleOutcome): AttemptEnding {
  return became === "cancelled" || became === "failed" ? became : "lost";
}

function keyOf({ name }: JobSource, { jobId, run }: Pick<UnreportedEnd, "jobId" | "run">): string {
  return `${name}/${jobId}/${run}`;
}

/** What log lines about an attempt carry. */
export function fieldsOf({
  jobId,
  run,
  attempt,
  job,
  requestId,
}: Pick<Lease, "jobId" | "run" | "attempt" | "job" | "requestId">) {
  const named = requestId === undefined ? {} : { requestId };
  return {
    job_id: jobId,
    ...named,
    ...(run > 1 ? { run } : {}),
    attempt,
    type: job.type,
    ...traceFields(job.metadata),
  };
}
