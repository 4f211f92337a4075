import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { GlobalOptions } from "../settings.ts";

export function addValidate(program: Command): void {
  program
    .command("validate")
    .summary("check whether a container can run here")
    .description(
      "Tries what a container needs: environment, handlers, models, data folder, executors, ffmpeg; and uses each service " +
        "that is configured with the key that it is given. Each failure says what to do; the exit code is 1 when " +
        "something fails.",
    )
    .addHelpText(
      "after",
      examples("ourvidz validate", "ourvidz validate --json | jq '.checks[] | select(.status!=\"ok\")'"),
    )
    .action(
      action(async (_operands, options: GlobalOptions) => (await import("../validate/validate.ts")).validate(options)),
    );
}
