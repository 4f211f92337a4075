import type { Command } from "commander";
import { CodedError } from "#contract/errors.ts";
import type { JobRecord } from "#runtime/source/job-source.ts";
import { action, examples } from "../command.ts";
import { withExistingDatabase } from "../embedded.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { describeJob } from "../job/describe.ts";
import { followJob } from "../job/follow.ts";
import { jobJson, statusText } from "../job/view.ts";
import { note, printResult } from "../output.ts";

interface JobCommandOptions {
  readonly follow?: boolean;
  readonly json?: boolean;
}

export function addJob(program: Command): void {
  program
    .command("job")
    .summary("show one job")
    .description(
      "Shows one job with its attempts, files and error. With --follow, waits for its end: the exit code is then 0 when " +
        "it completed and 1 when it failed or was cancelled; Ctrl-C stops the waiting, not the job.",
    )
    .argument("<job>", "job id")
    .option("--follow", "wait for the end of the job and tell what happens meanwhile")
    .addHelpText(
      "after",
      examples(
        "ourvidz job 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111",
        "ourvidz job 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111 --follow --json",
      ),
    )
    .action(action(job));
}

async function job([id = ""]: readonly string[], options: JobCommandOptions): Promise<number> {
  return withExistingDatabase(options, async (embedded, config) => {
    const { source } = embedded;
    const first = await source.get(id);
    if (first === null) throw new CodedError("JOB_NOT_FOUND", `There is no job ${id}: "ourvidz jobs" lists them.`);
    const interruption = new Interruption();
    const record = options.follow
      ? await followJob(source, first, interruption.signal, (seen) => note(statusText(seen)))
      : first;
    interruption.close();
    printResult(options, await jobJson(record, embedded, config), describeJob(record, embedded));
    return options.follow ? (interruption.exitCode ?? endCode(record)) : exitCodes.completed;
  });
}

function endCode(record: JobRecord): number {
  return record.status === "completed" ? exitCodes.completed : exitCodes.failed;
}
