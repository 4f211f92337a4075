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
    .option("--undecodable", "elements of queues in which there is no job, in place of failed jobs")
    .addHelpText(
      "after",
      examples("ourvidz failures", "ourvidz failures --json | jq '.groups[].code'", "ourvidz failures --undecodable"),
    )
    .action(
      action(async (_operands, options: FailuresOptions & { readonly undecodable?: boolean }) =>
        options.undecodable
          ? (await import("../many/undecodable.ts")).listElements(options)
          : (await import("../many/list-failures.ts")).listFailures(options),
      ),
    );
}
