import type { Command } from "commander";
import { action, examples } from "../command.ts";
import { exitCodes } from "../errors.ts";
import { codeOption, textOption } from "../filters.ts";
import { addChangeOptions, namesMany } from "../many/filter-options.ts";
import type { RetryJobsOptions } from "../many/retry-jobs.ts";
import { printResult } from "../output.ts";
import { withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";

export function addRetry(program: Command): void {
  const command = program
    .command("retry")
    .summary("put failed jobs back on their queue")
    .description(
      "Puts a failed job, or the failed jobs of a queue, back on the queue, due now, with their attempts forgotten. Jobs that " +
        "failed for good and would fail again are left, unless --force is given.",
    )
    .argument("[job]", "job id")
    .option("--queue <queue>", "the failed jobs of this queue, such as sdxl_queue", textOption)
    .option("--code <code>", "with --queue: those that failed with this error", codeOption)
    .option("--type <type>", "with --queue: those of this type", textOption)
    .option("--force", "also what would fail again as it is");
  addChangeOptions(command)
    .addHelpText(
      "after",
      examples(
        "ourvidz retry 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111",
        "ourvidz retry --queue sdxl_queue --dry-run",
        "ourvidz retry --queue sdxl_queue --code EXECUTOR_CRASHED --yes",
      ),
    )
    .action(
      action(async ([id], options: RetryJobsOptions) =>
        namesMany(id, options) ? (await import("../many/retry-jobs.ts")).retryJobs(options) : retry(id ?? "", options),
      ),
    );
}

async function retry(id: string, options: RetryJobsOptions): Promise<number> {
  const { force = false } = options;
  const client = await remoteClient(options);
  if (client !== null) await client.retry(id, { force });
  else {
    const { retryJob } = await import("#runtime/sources/retry-job.ts");
    const config = await readSettings(options, { serves: false });
    await withExistingQueue(config, options, ({ queue }) => retryJob(queue, id, force));
  }
  printResult(options, { job_id: id, status: "queued" }, `${id} is queued again`);
  return exitCodes.completed;
}
