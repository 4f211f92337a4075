import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { TokensOptions } from "../prompts/tokens.ts";

export function addTokens(program: Command): void {
  program
    .command("tokens")
    .summary("count the tokens of a prompt")
    .description(
      "Reads a prompt as the model of a job type does, without computing anything: its tokens by text encoder, the chunks in " +
        "which it is encoded, and what the model would not read. Loads the tokenizers alone.",
    )
    .argument("<type>", "job type")
    .argument("<prompt...>", "several words are one prompt, - is what is piped in")
    .option("--model <name>", "model folder instead of the job type's own")
    .option("--negative <text>", "negative prompt")
    .option("--weights <terms>", "further terms with weights, as config.compel_weights has them")
    .option("--plain", "brackets are signs like others, as without compel_enabled")
    .addHelpText(
      "after",
      examples(
        'ourvidz tokens sdxl_image_fast "a red apple on a (light blue:1.2) background"',
        'ourvidz tokens video_fast "a rocket flies up" --json',
      ),
    )
    .action(
      action(async (operands, options: TokensOptions) =>
        (await import("../prompts/tokens.ts")).tokens(operands, options),
      ),
    );
}
