import { type Command, InvalidArgumentError, Option } from "commander";
import { action, examples } from "../command.ts";
import type { ShowJobOptions } from "../job/options.ts";

export function addJob(program: Command): void {
  program
    .command("job")
    .summary("show one job")
    .description(
      "Shows one job with its attempts, files and error. With --follow, waits for its end: the exit code is then 0 when " +
        "it completed and 1 when it failed or was cancelled; Ctrl-C stops the waiting, not the job.",
    )
    .argument("<job>", "job id, or that of an endpoint's request")
    .option("--follow", "wait for the end of the job and report what happens meanwhile")
    .addOption(
      new Option("--log [attempt]", "what an attempt has printed, by default the newest")
        .argParser(attemptOption)
        .conflicts("follow"),
    )
    .addHelpText(
      "after",
      examples(
        "ourvidz job 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111",
        "ourvidz job 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111 --follow --json",
        "ourvidz job 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111 --log 2",
      ),
    )
    .action(
      action(async ([id = ""], options: ShowJobOptions) => (await import("../job/show-job.ts")).showJob(id, options)),
    );
}

function attemptOption(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("It must be the number of an attempt, from 1.");
  return Number(text);
}
