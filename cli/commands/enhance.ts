import type { Command } from "commander";
import type { EnhanceOptions } from "../chat/enhance.ts";
import { action, examples } from "../command.ts";
import { numberOption } from "../job/options.ts";

export function addEnhance(program: Command): void {
  program
    .command("enhance")
    .summary("make a fuller prompt of a short one")
    .description(
      "Has the language model make a fuller prompt: by instruction, else by examples, else the prompt stays as it is. The prompt " +
        "goes to standard output, what it was and how it was made beside it. Here in a temporary data folder, or with --url in that container.",
    )
    .argument("[prompt...]", "several words are one prompt; - or none: what is piped in")
    .option(
      "--preset <name>",
      "what fuller means: photographic, cinematic, illustration, product, nature, or one of your own",
    )
    .option("--target <model>", "which kind of model it is for: sdxl or wan")
    .option("--base", "by examples alone")
    .option("--model <name>", "language model's folder instead of the container's own")
    .option("--temperature <n>", "0 takes the likeliest word each time", numberOption)
    .option("--max-tokens <n>", "of the language model", numberOption)
    .option("--seed <n>", "same seed, same prompt", numberOption)
    .option("--timeout <seconds>", "for everything; then the prompt stays as it is", numberOption)
    .addHelpText(
      "after",
      examples(
        'ourvidz enhance "apple"',
        'ourvidz enhance "a fox in the snow" --preset cinematic --target wan --json',
        "echo apple | ourvidz enhance | ourvidz run sdxl_image_fast -",
      ),
    )
    .action(
      action(async (operands, options: EnhanceOptions) =>
        (await import("../chat/enhance.ts")).enhance(operands, options),
      ),
    );
}
