import type { FailuresView } from "#functions/api/failures.ts";
import { viewFailures } from "#functions/queues/failure-view.ts";
import { readFailures } from "#runtime/sources/read-failures.ts";
import { exitCodes } from "../errors.ts";
import { requireQueue } from "../filter-check.ts";
import { age } from "../job/view.ts";
import { note, oneLine, printResult } from "../output.ts";
import { type OpenQueue, type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { queueOf } from "./filter-options.ts";

export interface FailuresOptions extends GlobalOptions, QueueChoice {
  readonly queue?: string;
}

/** The body of `ourvidz failures`. */
export async function listFailures(options: FailuresOptions): Promise<number> {
  const failures = await readShown(options);
  const nowMs = Date.now();
  const isMixed = new Set(failures.groups.map(({ source }) => source)).size > 1;
  const text = table(failures.groups, [
    ...(isMixed ? [{ title: "SOURCE", value: ({ source }: Group) => source }] : []),
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

type Group = FailuresView["groups"][number];

async function readShown(options: FailuresOptions): Promise<FailuresView> {
  const queue = queueOf(options);
  const client = await remoteClient(options);
  if (client !== null) return client.failures({ queue });
  const config = await readSettings(options, { serves: false });
  const read = async (open: OpenQueue): Promise<FailuresView> => {
    await requireQueue(options.queue, open, config.handlersFolder);
    return viewFailures(await readFailures(open.queue), queue);
  };
  return withExistingQueue(config, options, read, { groups: [], unreachable: [] });
}
