import type { Command } from "commander";
import { action, examples } from "../command.ts";
import { addJobOptions } from "../job/options.ts";
import type { RunOptions } from "../run/run.ts";

export function addRun(program: Command): void {
  const command = program
    .command("run")
    .summary("run one job now and keep its files")
    .description(
      "Runs one job through the whole runtime (queue, executor, outbox, asset store) in a temporary data folder, without " +
        "opening a port, and copies its files to --out. Prints the files' names. With --data, the temporary folder is " +
        "made in there.\n\nCtrl-C cancels the job within one step (exit code 130; 143 for SIGTERM), a second one at once.",
    )
    .argument("<type>", "job type")
    .argument("[prompt...]", "what to make; several words are one prompt, - is what is piped in");
  addJobOptions(command)
    .option("--out <dir>", "where the files go", "out")
    .addHelpText(
      "after",
      examples(
        'ourvidz run sdxl_image_fast "a red apple"',
        'ourvidz run sdxl_image_fast "a red apple on a light blue background" --seed 42 --images 3 --out pictures',
        'ourvidz run sdxl_image_high "a fox" --steps 30 --config \'{"scheduler":"euler"}\' --json',
      ),
    )
    .action(action(async (operands, options: RunOptions) => (await import("../run/run.ts")).run(operands, options)));
}
