import { type Command, Option } from "commander";
import type { JobRecord, JobStatus, ListFilter } from "#runtime/source/job-source.ts";
import { action, examples } from "../command.ts";
import { withExistingDatabase } from "../embedded.ts";
import { exitCodes, usageError } from "../errors.ts";
import { numberOption } from "../job/options.ts";
import { age, jobJson, statusText } from "../job/view.ts";
import { note, printResult } from "../output.ts";
import { table } from "../table.ts";

interface JobsOptions {
  readonly status?: JobStatus;
  readonly type?: string;
  readonly user?: string;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: boolean;
}

const statuses = ["queued", "running", "completed", "failed", "cancelled"] satisfies JobStatus[];
const mostJobs = 1000;

export function addJobs(program: Command): void {
  program
    .command("jobs")
    .summary("list jobs, newest first")
    .description("Lists the jobs of the data folder, newest first.")
    .addOption(new Option("--status <status>", "only jobs of this status").choices(statuses))
    .option("--type <type>", "only jobs of this type")
    .option("--user <id>", "only jobs of this user")
    .option("--limit <n>", `how many, 1 to ${mostJobs}`, numberOption, 20)
    .option("--cursor <cursor>", "go on after the page that named this cursor")
    .addHelpText(
      "after",
      examples("ourvidz jobs", "ourvidz jobs --status failed --limit 100", "ourvidz jobs --json | jq '.jobs[].job_id'"),
    )
    .action(action(jobs));
}

async function jobs(_operands: readonly string[], options: JobsOptions): Promise<number> {
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
  const [page, views] = await withExistingDatabase(options, async (embedded, config) => {
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
