import type { JobRecord, ListFilter } from "#runtime/source/job-source.ts";
import { type JobsOptions, mostJobs } from "../commands/jobs.ts";
import { exitCodes, usageError } from "../errors.ts";
import { note, printResult } from "../output.ts";
import { withExistingQueue } from "../queue.ts";
import { readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { age, jobJson, statusText } from "./view.ts";

/** The body of `ourvidz jobs`. */
export async function listJobs(options: JobsOptions): Promise<number> {
  const { status, type, user, limit, cursor } = options;
  if (!Number.isInteger(limit) || limit < 1 || limit > mostJobs)
    throw usageError(`--limit is ${limit}: it must be a whole number from 1 to ${mostJobs}.`);
  const filter: ListFilter = {
    limit,
    ...(status === undefined ? {} : { status }),
    ...(type === undefined ? {} : { type }),
    ...(user === undefined ? {} : { userId: user }),
    ...(cursor === undefined ? {} : { cursor }),
  };
  const config = await readSettings(options, { serves: false });
  const [page, views] = await withExistingQueue(config, options, async (embedded) => {
    const listed = await embedded.source.list(filter);
    return [listed, await Promise.all(listed.jobs.map((record) => jobJson(record, embedded, config)))];
  });
  printResult(options, { jobs: views, cursor: page.cursor }, jobTable(page.jobs));
  if (!options.json && page.jobs.length === 0) note("There are no such jobs.");
  if (!options.json && page.cursor !== null) note(`There are more: --cursor ${page.cursor}`);
  return exitCodes.completed;
}

function jobTable(records: readonly JobRecord[]): string {
  const nowMs = Date.now();
  return table(records, [
    { title: "JOB", value: ({ job }) => job.id },
    { title: "TYPE", value: ({ job }) => job.type },
    { title: "STATUS", value: statusText, status: true },
    { title: "ATTEMPT", value: (record) => String(record.attempt) },
    { title: "AGE", value: (record) => age(record.createdAtMs, nowMs) },
    { title: "PROMPT", value: ({ job }) => job.prompt ?? "" },
  ]);
}
