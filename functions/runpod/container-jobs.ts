import type { JobEvents } from "#runtime/dispatch/job-events.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";
import { type LiveJob, LiveJobs } from "./live-jobs.ts";

/** What is known of jobs beside their records, from the events of this container. */
export class ContainerJobs extends LiveJobs {
  readonly #events: Pick<JobEvents, "replay" | "subscribe">;

  constructor(events: Pick<JobEvents, "replay" | "subscribe">) {
    super();
    this.#events = events;
  }

  /** With the newest progress of the attempt that runs. */
  override peek(jobId: string): LiveJob | undefined {
    const events = this.#events.replay(jobId).map(({ event }) => event);
    const begun = events.findLastIndex(({ kind }) => kind === "state");
    const newest = events.slice(begun + 1).findLast((event) => event.kind === "progress");
    if (events.length === 0) return super.peek(jobId);
    const job = this.of(jobId);
    job.progress =
      newest === undefined ? undefined : { progress: newest.progress, step: newest.step, total: newest.total };
    return job;
  }

  /** A stream is the job's text: what has come since the last call, of a job that ran elsewhere all of it at its end. */
  drain({ job: { id }, result }: Pick<JobRecord, "job" | "result">): readonly string[] {
    const newest = this.#events
      .replay(id)
      .map(({ event }) => event)
      .findLast((event) => event.kind === "text");
    const text = result?.text ?? newest?.text ?? "";
    const job = this.of(id);
    const chunk = text.slice(job.streamedCharacters);
    if (chunk === "") return [];
    job.streamedCharacters = text.length;
    return [chunk];
  }

  override async wait(jobId: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const stop = this.#events.subscribe(jobId, ({ event: { kind } }) => {
      if (kind === "state" || kind === "text") this.changed(jobId);
    });
    await super.wait(jobId, timeoutMs, signal);
    stop();
  }
}
