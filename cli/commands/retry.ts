import type { Command } from "commander";
import { action, examples } from "../command.ts";
import { exitCodes } from "../errors.ts";
import { printResult } from "../output.ts";
import { type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";

export function addRetry(program: Command): void {
  program
    .command("retry")
    .summary("put a failed job back on its queue")
    .description("Puts a failed job back on its queue, due now, with its attempts forgotten.")
    .argument("<job>", "job id")
    .addHelpText("after", examples("ourvidz retry 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111"))
    .action(action(retry));
}

async function retry([id = ""]: readonly string[], options: GlobalOptions & QueueChoice): Promise<number> {
  const client = await remoteClient(options);
  if (client !== null) await client.retry(id);
  else {
    const config = await readSettings(options, { serves: false });
    await withExistingQueue(config, options, ({ queue }) => queue.redrive(id));
  }
  printResult(options, { job_id: id, status: "queued" }, `${id} is queued again`);
  return exitCodes.completed;
}
