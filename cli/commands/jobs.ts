import { type Command, Option } from "commander";
import type { JobStatus } from "#runtime/sources/job-source.ts";
import { action, examples } from "../command.ts";
import { textOption, userOption } from "../filters.ts";
import type { JobsOptions } from "../job/list-jobs.ts";
import { maxListedJobs, numberOption } from "../job/options.ts";

const statuses = ["queued", "running", "completed", "failed", "cancelled"] satisfies JobStatus[];

export function addJobs(program: Command): void {
  program
    .command("jobs")
    .summary("list jobs, newest first")
    .description("Lists jobs, newest first: those of the data folder, or where the options say.")
    .addOption(new Option("--status <status>", "only jobs of this status").choices(statuses))
    .option("--type <type>", "only jobs of this type", textOption)
    .option("--user <id>", "only jobs of this user", userOption)
    .option("--limit <n>", `how many, 1 to ${maxListedJobs}`, numberOption, 20)
    .option("--cursor <cursor>", "go on after the page that named this cursor")
    .addHelpText(
      "after",
      examples("ourvidz jobs", "ourvidz jobs --status failed --limit 100", "ourvidz jobs --json | jq '.jobs[].job_id'"),
    )
    .action(action(async (_operands, options: JobsOptions) => (await import("../job/list-jobs.ts")).listJobs(options)));
}
