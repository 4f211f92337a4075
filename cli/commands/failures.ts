import type { Command } from "commander";
import { action, examples } from "../command.ts";
import { textOption } from "../filters.ts";
import type { FailuresOptions } from "../many/list-failures.ts";

export function addFailures(program: Command): void {
  program
    .command("failures")
    .summary("show failed jobs in groups")
    .description(
      "Shows failed jobs by queue, error code and type: how many, how many of them can succeed when they are retried, when " +
        "one last failed so, and the newest as an example.",
    )
    .option("--queue <queue>", "those of this queue, such as sdxl_queue", textOption)
    .addHelpText("after", examples("ourvidz failures", "ourvidz failures --json | jq '.groups[].code'"))
    .action(
      action(async (_operands, options: FailuresOptions) =>
        (await import("../many/list-failures.ts")).listFailures(options),
      ),
    );
}
