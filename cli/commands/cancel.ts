import type { Command } from "commander";
import { action, examples } from "../command.ts";
import { exitCodes } from "../errors.ts";
import { printResult } from "../output.ts";
import { type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";

export function addCancel(program: Command): void {
  program
    .command("cancel")
    .summary("cancel a job, queued or running")
    .description("Cancels a job: one that is queued at once, one that runs within a step, whichever container runs it.")
    .argument("<job>", "job id")
    .addHelpText("after", examples("ourvidz cancel 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111"))
    .action(action(cancel));
}

async function cancel([id = ""]: readonly string[], options: GlobalOptions & QueueChoice): Promise<number> {
  const outcome = await requestCancel(id, options);
  printResult(
    options,
    { job_id: id, status: outcome === "cancelled" ? "cancelled" : "running", cancel_requested: true },
    outcome === "cancelled" ? `${id} is cancelled` : `${id} is running and will be cancelled within a step`,
  );
  return exitCodes.completed;
}

async function requestCancel(id: string, options: GlobalOptions & QueueChoice): Promise<"cancelled" | "requested"> {
  const client = await remoteClient(options);
  if (client !== null) return (await client.cancel(id)).status === "cancelled" ? "cancelled" : "requested";
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, ({ queue }) => queue.cancel(id));
}
