import { readFailures } from "#runtime/sources/read-failures.ts";
import { exitCodes } from "../errors.ts";
import { age } from "../job/view.ts";
import { note, oneLine, printResult } from "../output.ts";
import { type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { queueOf } from "./filter-options.ts";

export interface FailuresOptions extends GlobalOptions, QueueChoice {
  readonly queue?: string;
}

interface ShownFailures {
  readonly groups: readonly ShownGroup[];
  readonly unreachable: readonly string[];
}

interface ShownGroup {
  readonly queue: string;
  readonly code: string;
  readonly type: string;
  readonly jobs: number;
  readonly retryable: number;
  readonly last_at: string;
  readonly newest: { readonly job_id: string; readonly message: string } | null;
}

/** The body of `ourvidz failures`. */
export async function listFailures(options: FailuresOptions): Promise<number> {
  const failures = await readShown(options);
  const nowMs = Date.now();
  const text = table(failures.groups, [
    { title: "QUEUE", value: ({ queue }) => queue },
    { title: "CODE", value: ({ code }) => code },
    { title: "TYPE", value: ({ type }) => oneLine(type) },
    { title: "JOBS", value: ({ jobs }) => String(jobs) },
    { title: "RETRYABLE", value: ({ retryable }) => String(retryable) },
    { title: "LAST", value: ({ last_at }) => `${age(Date.parse(last_at), nowMs)} ago` },
    { title: "NEWEST", value: ({ newest }) => newest?.job_id ?? "-" },
    { title: "WHY", value: ({ newest }) => oneLine(newest?.message ?? "") },
  ]);
  printResult(options, failures, text);
  if (!options.json && failures.groups.length === 0) note("No job has failed.");
  if (!options.json && failures.unreachable.length > 0) note(`No answer from: ${failures.unreachable.join(", ")}.`);
  return exitCodes.completed;
}

async function readShown(options: FailuresOptions): Promise<ShownFailures> {
  const queue = queueOf(options);
  const client = await remoteClient(options);
  if (client !== null) return client.failures({ queue });
  const config = await readSettings(options, { serves: false });
  const { groups, unreachable } = await withExistingQueue(config, options, (open) => readFailures(open.queue));
  return {
    groups: groups
      .filter((group) => queue === undefined || group.queue === queue)
      .map(({ worker, permanent, lastAtMs, newest, ...group }) => ({
        ...group,
        retryable: group.jobs - permanent,
        last_at: new Date(lastAtMs).toISOString(),
        newest: newest === null ? null : { job_id: newest.jobId, message: newest.message },
      })),
    unreachable,
  };
}
