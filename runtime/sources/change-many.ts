import { setImmediate as otherWork } from "node:timers/promises";
import { CodedError, type ErrorCode, toErrorReport } from "#contract/errors.ts";
import type { JobQueues } from "./job-queues.ts";
import { type JobFilter, type JobQueue, type MatchedJob, maxChangedAtOnce } from "./job-source.ts";

/*
 * Changes of all jobs that a filter matches, over all sources, in parts: each call changes so many jobs, or as many as it
 * can in its time, and says where the next one goes on. A caller that stops calling has interrupted it; nothing is left
 * half done. A batch is small, and between two of them the event loop does other work.
 */
export interface ChangeRequest {
  readonly filter: JobFilter;
  /** Only of this source. */
  readonly source?: string | undefined;
  /** As the call before answered it. */
  readonly cursor?: string | undefined;
  /** How many jobs that match are looked at. */
  readonly limit: number;
  /** No batch is begun after it aborts. */
  readonly signal: AbortSignal;
  /** Only counts. */
  readonly dryRun?: boolean | undefined;
}

/** Jobs that match and were left as they are, and why. */
export interface LeftJobs {
  readonly code: ErrorCode;
  readonly message: string;
  readonly jobs: number;
}

export interface ChangeOutcome {
  readonly matched: number;
  /** How many were changed, by what became of them; with `dryRun`, would be. */
  readonly changed: Readonly<Record<string, number>>;
  readonly left: readonly LeftJobs[];
  /** Null when all have been looked at. */
  readonly cursor: string | null;
  /** Sources that did not answer: what they have is as it was, or partly changed. */
  readonly unreachable: readonly string[];
}

/** How many jobs one page looks at, whether they match or not. */
const pageSize = 200;
const cursorForm = /^([a-z0-9_-]{1,50})\.([A-Za-z0-9_-]{0,2000})$/;

/** Counts what becomes of jobs. */
export class Tally {
  readonly changed: Record<string, number> = {};
  readonly #left = new Map<string, LeftJobs>();

  add(name: string, jobs = 1): void {
    this.changed[name] = (this.changed[name] ?? 0) + jobs;
  }

  leave(code: ErrorCode, message: string, jobs = 1): void {
    const key = `${code} ${message}`;
    this.#left.set(key, { code, message, jobs: jobs + (this.#left.get(key)?.jobs ?? 0) });
  }

  get left(): LeftJobs[] {
    return [...this.#left.values()];
  }
}

/** Changes at most `maxChangedAtOnce` jobs. */
export type Change = (queue: JobQueue, jobs: readonly MatchedJob[], tally: Tally) => Promise<void>;

/**
 * @throws CodedError INVALID_REQUEST when the cursor is not one that a call answered, or there is no such source; what the
 *   first source throws when none answers
 */
export async function changeMany(queues: JobQueues, request: ChangeRequest, change: Change): Promise<ChangeOutcome> {
  const named = [...queues.named(request.source)];
  const place = readCursor(
    request.cursor,
    named.map(([name]) => name),
  );
  const tally = new Tally();
  const errors = new Map<string, unknown>();
  const run = { request, change, tally, matched: 0 };
  const outcome = (cursor: string | null) => {
    const unreachable = [...errors.keys()];
    return { matched: run.matched, changed: tally.changed, left: tally.left, cursor, unreachable };
  };
  for (const [index, [name, queue]] of named.slice(place.index).entries()) {
    try {
      const onChange = () => queues.changed(name);
      const at = await changeSource(run, queue, index === 0 ? place.cursor : undefined, onChange);
      if (at !== null) return outcome(`${name}.${at}`);
    } catch (error) {
      if (error instanceof CodedError && error.code === "INVALID_REQUEST") throw error;
      errors.set(name, error);
    }
  }
  const [first] = errors.values();
  if (run.matched === 0 && errors.size > 0 && errors.size === named.length - place.index) throw first;
  return outcome(null);
}

interface Run {
  readonly request: ChangeRequest;
  readonly change: Change;
  readonly tally: Tally;
  matched: number;
}

/**
 * Returns where the source is to be gone on with, null when it is through. A page looks at a number of jobs, few of which may
 * match: near the limit it must not look at fewer, but is read again as a shorter one when it has more than are left to change.
 */
async function changeSource(
  run: Run,
  queue: JobQueue,
  from: string | undefined,
  onChange: () => void,
): Promise<string | null> {
  const { filter, limit, signal, dryRun } = run.request;
  let [at, size] = [from, pageSize];
  while (run.matched < limit && !signal.aborted) {
    const page = await queue.match(filter, { limit: size, cursor: at });
    const left = limit - run.matched;
    if (page.jobs.length > left) {
      size = Math.max(left, Math.floor(size / 2));
      continue;
    }
    run.matched += page.jobs.length;
    await changePage(queue, page.jobs, run);
    if (page.jobs.length > 0 && dryRun !== true) onChange();
    if (page.cursor === null) return null;
    at = page.cursor;
    size = Math.min(pageSize, size * 2);
  }
  return at ?? "";
}

async function changePage(queue: JobQueue, jobs: readonly MatchedJob[], { change, tally }: Run): Promise<void> {
  for (let from = 0; from < jobs.length; from += maxChangedAtOnce) {
    await change(queue, jobs.slice(from, from + maxChangedAtOnce), tally);
    await otherWork();
  }
  if (jobs.length === 0) await otherWork();
}

function readCursor(cursor: string | undefined, names: readonly string[]) {
  if (cursor === undefined) return { index: 0, cursor: undefined };
  const [, name = "", place = ""] = cursorForm.exec(cursor) ?? [];
  const index = names.indexOf(name);
  if (index >= 0) return { index, cursor: place === "" ? undefined : place };
  throw new CodedError("INVALID_REQUEST", `The cursor "${cursor.slice(0, 100)}" is not one that a call answered.`);
}

/** Cancels what waits or runs. Counts `cancelled`, and `requested` for what ends within a step of its container. */
export function cancelMatching(queues: JobQueues, request: ChangeRequest): Promise<ChangeOutcome> {
  return changeMany(queues, request, async (queue, jobs, tally) => {
    if (request.dryRun) {
      const running = jobs.filter(({ status }) => status === "running").length;
      if (running > 0) tally.add("requested", running);
      if (jobs.length > running) tally.add("cancelled", jobs.length - running);
      return;
    }
    for (const outcome of await queue.cancelMany(jobs.map(({ jobId }) => jobId))) {
      if (outcome === "cancelled" || outcome === "requested") tally.add(outcome);
      else
        tally.leave(
          "JOB_ALREADY_SETTLED",
          "They have ended, or have been worked off and are being delivered: there is nothing to cancel.",
        );
    }
  });
}

/** Puts failed jobs back on their queues that can succeed. Counts `redriven`. */
export function redriveMatching(
  queues: JobQueues,
  { force = false, ...request }: ChangeRequest & { readonly force?: boolean },
): Promise<ChangeOutcome> {
  return changeMany(queues, request, async (queue, jobs, tally) => {
    const hopeful = jobs.filter(({ permanent }) => force || !permanent);
    if (hopeful.length < jobs.length) {
      const message = "They failed for good and would fail again as they are.";
      tally.leave("JOB_NOT_RETRYABLE", message, jobs.length - hopeful.length);
    }
    if (request.dryRun) {
      if (hopeful.length > 0) tally.add("redriven", hopeful.length);
      return;
    }
    for (let from = 0; from < hopeful.length; from += redrivenAtOnce) {
      const some = hopeful.slice(from, from + redrivenAtOnce);
      const settled = await Promise.allSettled(some.map(({ jobId }) => queue.redrive(jobId)));
      // All that were redriven count, also when another cannot be reached.
      const redriven = settled.filter(({ status }) => status === "fulfilled").length;
      if (redriven > 0) tally.add("redriven", redriven);
      for (const each of settled) if (each.status === "rejected") leaveRefused(each.reason, tally);
    }
  });
}

/** Enough to hide a network's delay, and little enough for a queue that is paid by the call to keep its rate. */
const redrivenAtOnce = 5;

/** What somebody else redrove or discarded meanwhile is no matter. @throws what is no refusal of the job */
function leaveRefused(error: unknown, tally: Tally): void {
  const { code } = toErrorReport(error);
  if (code === "JOB_NOT_FAILED" || code === "JOB_NOT_FOUND") return;
  if (code !== "DEPENDENCY_FAILED") throw error;
  tally.leave(code, "They depend on jobs that have not completed: retry those first.");
}
