import type { JobStatus, ListFilter } from "#runtime/sources/job-source.ts";
import { exitCodes, usageError } from "../errors.ts";
import { filterHints, localTypes, remoteTypes } from "../filter-check.ts";
import { note, printResult } from "../output.ts";
import { type OpenQueue, type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { maxListedJobs } from "./options.ts";
import { age, jobJson, type ShownJob, statusText } from "./view.ts";

export interface JobsOptions extends GlobalOptions, QueueChoice {
  readonly status?: JobStatus;
  readonly type?: string;
  readonly user?: string;
  readonly limit: number;
  readonly cursor?: string;
}

/** What `GET /jobs` takes. */
const maxOverHttp = 200;

/** The body of `ourvidz jobs`. */
export async function listJobs(options: JobsOptions): Promise<number> {
  const { status, type, user, limit, cursor } = options;
  if (!Number.isInteger(limit) || limit < 1 || limit > maxListedJobs)
    throw usageError(`--limit is ${limit}: it must be a whole number from 1 to ${maxListedJobs}.`);
  const client = await remoteClient(options);
  if (client !== null) {
    if (limit > maxOverHttp) throw usageError(`--limit is ${limit}: a container lists at most ${maxOverHttp} at once.`);
    const page = await client.jobs({ status, type, user_id: user, limit, cursor });
    return printPage(options, page, () => remoteTypes(client));
  }
  const filter: ListFilter = {
    limit,
    ...(status === undefined ? {} : { status }),
    ...(type === undefined ? {} : { type }),
    ...(user === undefined ? {} : { userId: user }),
    ...(cursor === undefined ? {} : { cursor }),
  };
  const config = await readSettings(options, { serves: false });
  const read = async (open: OpenQueue): Promise<ShownPage> => {
    const { jobs, cursor, unreachable } = await open.queue.list(filter);
    return { jobs: await Promise.all(jobs.map((record) => jobJson(record, open))), cursor, unreachable };
  };
  const page = await withExistingQueue(config, options, read, { jobs: [], cursor: null, unreachable: [] });
  return printPage(options, page, () => localTypes(config));
}

interface ShownPage {
  readonly jobs: readonly ShownJob[];
  readonly cursor: string | null;
  readonly unreachable: readonly string[];
}

async function printPage(
  options: JobsOptions,
  page: ShownPage,
  knownTypes: () => Promise<readonly string[]>,
): Promise<number> {
  printResult(options, page, jobTable(page.jobs));
  if (!options.json && page.jobs.length === 0)
    note(["There are no such jobs.", ...(await filterHints({ type: options.type }, knownTypes))].join(" "));
  if (!options.json && page.unreachable.length > 0) note(`No answer from: ${page.unreachable.join(", ")}.`);
  if (!options.json && page.cursor !== null) note(`There are more: --cursor ${page.cursor}`);
  return exitCodes.completed;
}

function jobTable(jobs: readonly ShownJob[]): string {
  const nowMs = Date.now();
  return table(jobs, [
    { title: "JOB", value: (job) => job.job_id },
    { title: "TYPE", value: (job) => job.type, leavesAt: 3 },
    { title: "STATUS", value: statusText, status: true },
    { title: "ATTEMPT", value: (job) => String(job.attempt), leavesAt: 1 },
    { title: "AGE", value: (job) => age(Date.parse(job.created_at), nowMs), leavesAt: 2 },
    { title: "PROMPT", value: (job) => job.prompt ?? "", leavesAt: 4 },
  ]);
}
