import { type Command, Option } from "commander";
import { action, examples } from "../command.ts";
import { exitCodes } from "../errors.ts";
import type { CancelJobsOptions } from "../many/cancel-jobs.ts";
import { addChangeOptions, addFilterOptions, namesMany } from "../many/filter-options.ts";
import { printResult } from "../output.ts";
import { type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";

export function addCancel(program: Command): void {
  const command = program
    .command("cancel")
    .summary("cancel jobs, queued or running")
    .description(
      "Cancels a job, or all jobs that the options name: what is queued at once, what runs within a step, whichever " +
        "container runs it. Ctrl-C stops it after the part under way.",
    )
    .argument("[job]", "job id, or that of an endpoint's request")
    .addOption(new Option("--status <status>", "those in this state").choices(["queued", "running"]));
  addChangeOptions(addFilterOptions(command))
    .addHelpText(
      "after",
      examples(
        "ourvidz cancel 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111",
        "ourvidz cancel --user 6f0b --status queued --yes",
        "ourvidz cancel --queue wan_queue --older-than 1d --dry-run",
      ),
    )
    .action(
      action(async ([id], options: CancelJobsOptions) =>
        namesMany(id, options)
          ? (await import("../many/cancel-jobs.ts")).cancelJobs(options)
          : cancel(id ?? "", options),
      ),
    );
}

async function cancel(name: string, options: GlobalOptions & QueueChoice): Promise<number> {
  const { id, outcome } = await requestCancel(name, options);
  printResult(
    options,
    { job_id: id, status: outcome === "cancelled" ? "cancelled" : "running", cancel_requested: true },
    outcome === "cancelled" ? `${id} is cancelled` : `${id} is running and will be cancelled within a step`,
  );
  return exitCodes.completed;
}

interface Cancelled {
  readonly id: string;
  readonly outcome: "cancelled" | "requested";
}

async function requestCancel(name: string, options: GlobalOptions & QueueChoice): Promise<Cancelled> {
  const { namedJob, namedRemoteJob } = await import("../job/named-job.ts");
  const client = await remoteClient(options);
  if (client !== null) {
    const id = await namedRemoteJob(client, name);
    const { status } = await client.cancel(id);
    return { id, outcome: status === "cancelled" ? "cancelled" : "requested" };
  }
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async ({ queue }) => {
    const id = await namedJob(queue, name);
    return { id, outcome: await queue.cancel(id) };
  });
}
