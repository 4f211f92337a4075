import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { GlobalOptions } from "../settings.ts";

export function addModels(program: Command): void {
  program
    .command("models")
    .summary("list the model folders and what handlers need")
    .description(
      "Lists the folders of the models folder with their size, their parts and what is wrong with them, and the models " +
        "that handlers name but that are missing.",
    )
    .addHelpText("after", examples("ourvidz models", "ourvidz models --models /srv/models --json"))
    .action(action(async (_operands, options: GlobalOptions) => (await import("../models/models.ts")).models(options)));
}
