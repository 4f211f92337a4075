import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { QueueChoice } from "../queue.ts";
import type { GlobalOptions } from "../settings.ts";

export function addQueues(program: Command): void {
  program
    .command("queues")
    .summary("show what waits, runs and failed in each queue")
    .description("Shows for each queue how many jobs are due, delayed, running and failed, and how old the oldest is.")
    .addHelpText("after", examples("ourvidz queues", "ourvidz --url https://worker.example queues --json"))
    .action(
      action(async (_operands, options: GlobalOptions & QueueChoice) =>
        (await import("../job/list-queues.ts")).listQueues(options),
      ),
    );
}
