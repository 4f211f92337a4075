import type { AttemptLog } from "#contract/attempt-log.ts";
import { CodedError, type ErrorCode } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { type CombinedPage, listAll } from "./combined-pages.ts";
import type { DiscardOutcome, EnqueueOptions, EnqueueOutcome, JobQueue, JobRecord, ListFilter } from "./job-source.ts";
import { explained } from "./refusals.ts";

/** Where a job goes: to the source that is named, beside what is in another one, else to the first. */
export interface Destination {
  /** As the caller names it. */
  readonly source?: string | undefined;
  /** The source of the job that this one belongs to. It may have no queue. */
  readonly beside?: string;
}

/** How many jobs' sources are remembered. One that is forgotten is looked for again. */
const maxHolders = 10_000;

/**
 * The queues of one container as one. With several, a job is looked for in all of them at once, the first that knows it
 * answers, and it is remembered where it was. A source that does not answer hides no job of another one.
 *
 * A job's id is its own within its source. Whoever chooses ids and gives one to two sources has two jobs, of which the
 * one that was seen here last is shown.
 */
export class JobQueues {
  readonly #queues: ReadonlyMap<string, JobQueue>;
  readonly #holders = new Map<string, string>();
  #onChange: (source: string) => void = () => undefined;

  /** @param queues by source, in the order of the configuration */
  constructor(queues: ReadonlyMap<string, JobQueue>) {
    this.#queues = queues;
  }

  get byName(): ReadonlyMap<string, JobQueue> {
    return this.#queues;
  }

  /** Calls back when this container has put a job on a source's queue, or taken one off it. */
  onChange(listener: (source: string) => void): void {
    this.#onChange = listener;
  }

  /** What calls a source's queue itself says so here, once it has changed jobs. */
  changed(source: string): void {
    this.#onChange(source);
  }

  /** The queue of one source, or all of them. @throws CodedError INVALID_REQUEST when there is no such source */
  named(source: string | undefined): ReadonlyMap<string, JobQueue> {
    return source === undefined ? this.#queues : new Map([this.#destination({ source })]);
  }

  /** @throws as the queue does; INVALID_REQUEST when no such source takes jobs, UNSUPPORTED_OPTION when none does */
  async enqueue(job: Job, options: EnqueueOptions, destination: Destination = {}): Promise<EnqueueOutcome> {
    const [name, queue] = this.#destination(destination);
    const outcome = await queue.enqueue(job, options);
    this.#remember(outcome.jobId, name);
    this.#onChange(name);
    return outcome;
  }

  cancel(jobId: string): Promise<"cancelled" | "requested"> {
    return this.#change(jobId, (queue) => queue.cancel(jobId));
  }

  reprioritize(jobId: string, priority: number): Promise<void> {
    return this.#change(jobId, (queue) => queue.reprioritize(jobId, priority));
  }

  /**
   * Pauses a worker's queue in every source, or in one; or lets it go on. Sources that do not answer are named, and are as they
   * were. @throws the error of one when none has done it
   */
  async setPaused(worker: string, isPaused: boolean, source?: string): Promise<{ readonly unreachable: string[] }> {
    const failures = new Map<string, unknown>();
    const queues = this.named(source);
    const changes = [...queues].map(async ([name, queue]) => {
      try {
        await (isPaused ? queue.pauseQueue(worker) : queue.resumeQueue(worker));
        this.#onChange(name);
      } catch (error) {
        failures.set(name, error);
      }
    });
    await Promise.all(changes);
    if (failures.size > 0 && failures.size === queues.size) throw failures.values().next().value;
    return { unreachable: [...failures.keys()] };
  }

  redrive(jobId: string): Promise<void> {
    return this.#change(jobId, (queue) => queue.redrive(jobId));
  }

  /** Forgets one job that has ended. @throws CodedError JOB_NOT_FOUND, JOB_NOT_SETTLED */
  discard(jobId: string): Promise<void> {
    return this.#change(jobId, async (queue) => {
      const [outcome] = await queue.discard([jobId]);
      if (outcome === "missing") throw new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
      if (outcome !== undefined && outcome !== "discarded") throw notSettled(jobId, outcome);
    });
  }

  /** @throws what a source throws that does not answer, when no other one has the job */
  async get(jobId: string): Promise<JobRecord | null> {
    const only = this.#only();
    if (only !== null) return only[1].get(jobId);
    return (await this.#find(jobId))?.record ?? null;
  }

  /** What a source keeps of an attempt's log; null when none does. */
  async readLog(jobId: string, attempt: number): Promise<AttemptLog | null> {
    const entry = this.#only() ?? (await this.#find(jobId))?.entry;
    return (await entry?.[1].readLog?.(jobId, attempt)) ?? null;
  }

  /**
   * Newest first, over all of them or of one. A source that does not answer is named with the page; its jobs come with
   * a later one.
   *
   * @throws CodedError INVALID_REQUEST when the cursor is not one that a page returned, or there is no such source
   */
  async list(filter: ListFilter, source?: string): Promise<CombinedPage> {
    const only = source === undefined ? this.#only() : this.#destination({ source });
    if (only !== null) return { ...(await only[1].list(filter)), unreachable: [] };
    const { entries, ...page } = await listAll(this.#queues, filter);
    for (const { source: name, record } of entries) this.#remember(record.job.id, name);
    return page;
  }

  /** The first due jobs of a worker in the source that is named, or the first one. @throws as the queue does; INVALID_REQUEST */
  async waiting(
    worker: string,
    limit: number,
    source?: string,
  ): Promise<{ readonly source: string; readonly records: readonly JobRecord[] }> {
    const [name, queue] = this.#destination({ source });
    return { source: name, records: await queue.waiting(worker, limit) };
  }

  /** The one that a caller names, or that a job is put beside; else the first. */
  #destination({ source, beside }: Destination): readonly [string, JobQueue] {
    const name = source ?? (beside !== undefined && this.#queues.has(beside) ? beside : undefined);
    for (const entry of this.#queues) if (name === undefined || entry[0] === name) return entry;
    const names = [...this.#queues.keys()];
    if (names.length === 0) {
      const message = "The sources of this container take no jobs here: add one to SOURCES that does, such as sqlite.";
      throw new CodedError("UNSUPPORTED_OPTION", message);
    }
    const rule = `must be one that takes jobs here: ${names.join(", ")}`;
    const details = [{ field: "source", value: source, message: rule }];
    throw new CodedError("INVALID_REQUEST", `source is "${source}": ${rule}.`, { details });
  }

  /** Of a single queue, nothing has to be found out. */
  #only(): readonly [string, JobQueue] | null {
    const [first, ...others] = this.#queues;
    return first !== undefined && others.length === 0 ? first : null;
  }

  async #change<Result>(jobId: string, change: (queue: JobQueue) => Promise<Result>): Promise<Result> {
    const holder = this.#only() ?? (await this.#find(jobId))?.entry;
    // A source may only come to know a job when it is asked to change it, as one whose producers push to a list.
    for (const [name, queue] of holder === undefined ? this.#queues : [holder]) {
      try {
        const result = await change(queue);
        this.#onChange(name);
        return result;
      } catch (error) {
        if (holder !== undefined || !isCoded(error, "JOB_NOT_FOUND")) throw await explained(error, queue, jobId);
      }
    }
    throw new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
  }

  async #find(jobId: string) {
    const known = this.#holders.get(jobId);
    const queue = known === undefined ? undefined : this.#queues.get(known);
    if (known !== undefined && queue !== undefined) {
      const record = await queue.get(jobId);
      if (record !== null) return { entry: [known, queue] as const, record };
      this.#holders.delete(jobId);
    }
    const found = await firstThatKnows([...this.#queues], jobId);
    if (found !== null) this.#remember(jobId, found.entry[0]);
    return found;
  }

  #remember(jobId: string, source: string): void {
    if (this.#queues.size < 2) return;
    this.#holders.delete(jobId);
    this.#holders.set(jobId, source);
    const [oldest] = this.#holders.keys();
    if (this.#holders.size > maxHolders && oldest !== undefined) this.#holders.delete(oldest);
  }
}

/** @throws the first error of a source that did not answer, when none that answered has the job */
async function firstThatKnows(queues: readonly (readonly [string, JobQueue])[], jobId: string) {
  const errors: unknown[] = [];
  const answers = queues.map(async (entry) => {
    const record = await entry[1].get(jobId).catch((error: unknown) => {
      errors.push(error);
      return null;
    });
    if (record === null) throw new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
    return { entry, record };
  });
  const found = await Promise.any(answers).catch(() => null);
  if (found === null && errors.length > 0) throw errors[0];
  return found;
}

function isCoded(error: unknown, code: ErrorCode): boolean {
  return error instanceof CodedError && error.code === code;
}

function notSettled(jobId: string, outcome: Exclude<DiscardOutcome, "discarded" | "missing">): CodedError {
  const message =
    outcome === "unreported"
      ? `Job ${jobId} has ended, but its final callback is with no container yet: discard it when one has taken it.`
      : `Job ${jobId} is ${outcome}: only a job that has ended can be discarded.`;
  return new CodedError("JOB_NOT_SETTLED", message, { details: { status: outcome } });
}
