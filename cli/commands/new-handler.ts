import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { NewHandlerOptions } from "../new-handler/new-handler.ts";

export function addNewHandler(program: Command): void {
  program
    .command("new-handler")
    .summary("write a new job type, with its test")
    .description(
      "Writes a working handler and its test into the handlers folder. The job type runs at once; change its `input` and " +
        "`run` to what it shall do. Job types of one worker share a queue and a process.",
    )
    .argument("<type>", "the new job type's name, in snake_case")
    .option("--worker <name>", "worker that runs it", "media")
    .addHelpText(
      "after",
      examples("ourvidz new-handler contact_sheet", "ourvidz new-handler sdxl_poster --worker sdxl"),
    )
    .action(
      action(async ([type = ""], options: NewHandlerOptions) =>
        (await import("../new-handler/new-handler.ts")).newHandler(type, options),
      ),
    );
}
