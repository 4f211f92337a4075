import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { PullCommandOptions } from "../models/pull.ts";
import type { RemoveOptions } from "../models/remove.ts";
import type { GlobalOptions } from "../settings.ts";

export function addModels(program: Command): void {
  const models = program
    .command("models")
    .summary("list the model folders and what handlers need; fetch, describe, verify and remove models")
    .description(
      "Lists the folders of the models folder with their size, their parts and what is wrong with them, and the models " +
        "that handlers name but that are missing. Its own commands fetch, describe, verify and remove one.",
    )
    .addHelpText("after", examples("ourvidz models", "ourvidz models --models /srv/models --json"))
    .action(action(async (_operands, options: GlobalOptions) => (await import("../models/models.ts")).models(options)));
  addPull(models);
  models
    .command("info")
    .summary("what a model is, which job types it serves, and how much memory it takes")
    .description(
      "Says what a model is, which job types it serves, its parts with sizes and data types, how much memory it takes, and where it comes from.",
    )
    .argument("<name>", "its folder's name, or an alias")
    .addHelpText("after", examples("ourvidz models info sdxl", "ourvidz models info tiny-sdxl --json"))
    .action(
      action(async ([name = ""], options: GlobalOptions) => (await import("../models/info.ts")).info(name, options)),
    );
  models
    .command("verify")
    .summary("compare a model's files with what came from the hub")
    .description(
      "Reads every file of a model and compares its SHA-256 with that of the day when it was fetched; of a model that was not, the structure is looked at.",
    )
    .argument("<name>", "its folder's name, or an alias")
    .addHelpText("after", examples("ourvidz models verify sdxl"))
    .action(
      action(async ([name = ""], options: GlobalOptions) =>
        (await import("../models/verify.ts")).verify(name, options),
      ),
    );
  models
    .command("remove")
    .summary("delete a model's folder")
    .description("Deletes a model's folder, after asking.")
    .argument("<name>", "its folder's name")
    .option("--yes", "ask nothing; needed where there is no terminal")
    .addHelpText("after", examples("ourvidz models remove my-sdxl", "ourvidz models remove my-sdxl --yes"))
    .action(
      action(async ([name = ""], options: RemoveOptions) =>
        (await import("../models/remove.ts")).remove(name, options),
      ),
    );
}

function addPull(models: Command): void {
  models
    .command("pull")
    .summary("fetch a model from the Hugging Face hub")
    .description(
      "Fetches a model in ONNX from the Hugging Face hub: only what a worker loads, several files at once, each verified. " +
        "Stopped at any moment, the same command goes on where it was. HF_TOKEN opens gated and private repositories, " +
        "HF_ENDPOINT names a mirror.",
    )
    .argument("<repository>", "owner/name, or owner/name@revision with a branch, a tag or a commit")
    .option("--as <name>", "the model's name here; by default that of the repository, without its owner")
    .option(
      "--precision <name>",
      "of a language model: fp32, fp16, q4f16, q4, int8 …; by default what suits this machine",
    )
    .option("--replace", "put another commit or precision in the place of the one that is there")
    .addHelpText(
      "after",
      examples(
        "ourvidz models pull stabilityai/stable-diffusion-xl-base-1.0 --as sdxl",
        "ourvidz models pull onnx-community/Qwen2.5-0.5B-Instruct --as chat",
        "ourvidz models pull somebody/some-model@v2 --json",
      ),
    )
    .action(
      action(async ([repository = ""], options: PullCommandOptions) =>
        (await import("../models/pull.ts")).pull(repository, options),
      ),
    );
}
