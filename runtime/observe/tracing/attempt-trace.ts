import type { ErrorReport } from "#contract/errors.ts";
import type { StageMessage } from "#runtime/executor/protocol.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { traceparentOf } from "./traceparent.ts";
import type { Span, Tracing } from "./tracing.ts";

/**
 * The spans of one attempt:
 *
 *   job <type>      from due to the end of the attempt; a part of the trace that the job's metadata names
 *   ├─ take         from due to taken
 *   ├─ run          what the executor did
 *   │  └─ load, encode, …   the stages that its handler reported
 *   └─ upload, callback     by the delivery, when the attempt has ended, perhaps in another process
 */
export class AttemptTrace {
  readonly #tracing: Tracing;
  readonly #job: Span;
  #run: Span | null = null;

  constructor(tracing: Tracing, { job, jobId, attempt, queuedAtMs, takenAtMs }: Lease) {
    this.#tracing = tracing;
    this.#job = tracing.start(`job ${job.type}`, {
      parent: traceparentOf(job.metadata),
      startedAtMs: queuedAtMs,
      isConsumer: true,
      attributes: { "job.id": jobId, "job.type": job.type, "job.attempt": attempt },
    });
    const parent = this.#job.traceparent;
    tracing.start("take", { parent, startedAtMs: queuedAtMs }).end({ endedAtMs: takenAtMs });
  }

  /** Names the span of the job to what belongs to it. */
  get traceparent(): string | undefined {
    return this.#job.traceparent;
  }

  /** Names the span of its run to what the handler has others do. */
  get runTraceparent(): string | undefined {
    return this.#run?.traceparent ?? this.traceparent;
  }

  runs(worker: string): void {
    this.#run = this.#tracing.start("run", { parent: this.traceparent, attributes: { worker } });
  }

  stage({ name, startedAtMs, seconds, model }: StageMessage): void {
    this.#tracing
      .start(name, {
        parent: this.#run?.traceparent,
        startedAtMs,
        ...(model === undefined ? {} : { attributes: { model } }),
      })
      .end({ endedAtMs: startedAtMs + seconds * 1000 });
  }

  ran(): void {
    this.#run?.end();
  }

  ended(outcome: string, error: ErrorReport | undefined): void {
    this.#job.end({ attributes: { "job.outcome": outcome }, ...(error === undefined ? {} : { error }) });
  }
}

/** A lease whose job's metadata names the span of this attempt: all that is made of the job belongs to it. */
export interface TracedLease extends Lease {
  readonly trace: AttemptTrace;
  /** As it was taken: the same in every attempt. */
  readonly taken: Lease;
}

export function traced(tracing: Tracing, lease: Lease): TracedLease {
  const trace = new AttemptTrace(tracing, lease);
  const { traceparent } = trace;
  const { metadata } = lease.job;
  if (traceparent === undefined || traceparent === metadata.traceparent) return { ...lease, trace, taken: lease };
  return { ...lease, job: { ...lease.job, metadata: { ...metadata, traceparent } }, trace, taken: lease };
}
