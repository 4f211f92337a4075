import type { Runtime } from "#runtime/container/runtime.ts";
import type { ChangeOutcome, ChangeRequest } from "#runtime/sources/change-many.ts";
import type { JobFilter } from "#runtime/sources/job-source.ts";
import { workerOfQueue } from "../queues/find-queue.ts";

/** What one request may take; who wants more asks again. */
const limitMs = 20_000;

/** The conditions that every change of many jobs may name. */
interface Conditions {
  readonly queue?: string | undefined;
  readonly type?: string | undefined;
  readonly user_id?: string | undefined;
  readonly older_than_seconds?: number | undefined;
  readonly source?: string | undefined;
  readonly dry_run?: boolean | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** @throws HttpError NOT_FOUND naming the queues */
export async function requestOf(
  runtime: Runtime,
  { queue, type, user_id: userId, older_than_seconds: age, source, dry_run: dryRun, limit, cursor }: Conditions,
  more: Pick<JobFilter, "statuses" | "code">,
): Promise<ChangeRequest> {
  const filter: JobFilter = {
    ...more,
    worker: queue === undefined ? undefined : await workerOfQueue(runtime, queue),
    type,
    userId,
    createdBeforeMs: age === undefined ? undefined : Date.now() - age * 1000,
  };
  return { filter, source, cursor, limit, dryRun, signal: AbortSignal.timeout(limitMs) };
}

/** As the API shows it, but for what was changed. */
export function answerOf({ matched, left, cursor, unreachable }: ChangeOutcome) {
  return { matched, left: left.map((each) => ({ ...each })), cursor, unreachable: [...unreachable] };
}
