import type { Command } from "commander";
import { priority } from "#contract/job.ts";
import { action, examples } from "../command.ts";
import { exitCodes, usageError } from "../errors.ts";
import { numberOption } from "../job/options.ts";
import { printResult } from "../output.ts";
import { type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";

export function addPriority(program: Command): void {
  program
    .command("priority")
    .summary("give a waiting job another priority")
    .description("Gives a job that waits another priority: higher goes first. One that runs, or has ended, is refused.")
    .argument("<job>", "job id")
    .argument("<priority>", "from -100 to 100; 0 is that of a job that names none", numberOption)
    .addHelpText("after", examples("ourvidz priority 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111 50"))
    .action(
      action(async ([id, wanted], options: GlobalOptions & QueueChoice) => change(id ?? "", Number(wanted), options)),
    );
}

async function change(id: string, wanted: number, options: GlobalOptions & QueueChoice): Promise<number> {
  const checked = priority.safeParse(wanted);
  if (!checked.success) throw usageError(`The priority is ${wanted}: it ${checked.error.issues[0]?.message}.`);
  const client = await remoteClient(options);
  if (client !== null) await client.reprioritize(id, wanted);
  else {
    const config = await readSettings(options, { serves: false });
    await withExistingQueue(config, options, ({ queue }) => queue.reprioritize(id, wanted));
  }
  printResult(options, { job_id: id, priority: wanted }, `${id} has the priority ${wanted}`);
  return exitCodes.completed;
}
