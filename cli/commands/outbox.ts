import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { OutboxOptions } from "../job/show-outbox.ts";

export function addOutbox(program: Command): void {
  program
    .command("outbox")
    .summary("show finished jobs whose results have not reached the app, and why")
    .description(
      "Shows the finished jobs whose results have not reached the app yet: what keeps them, and the next try.",
    )
    .option("--try", "have them tried now")
    .option(
      "--give-up <job>",
      "give up the report of this job's end that waits: the app never hears of it, a webhook that follows it does; or a row that cannot be read, by its name",
    )
    .addHelpText(
      "after",
      examples(
        "ourvidz outbox",
        "ourvidz outbox --try",
        "ourvidz outbox --give-up <job>",
        "ourvidz --url https://worker.example outbox --json",
      ),
    )
    .action(
      action(async (_operands, options: OutboxOptions) => (await import("../job/show-outbox.ts")).showOutbox(options)),
    );
}
