import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { EnqueueCommandOptions } from "../job/enqueue-job.ts";
import { addJobOptions, numberOption } from "../job/options.ts";

export function addEnqueue(program: Command): void {
  const command = program
    .command("enqueue")
    .summary("put a job on its queue")
    .description("Puts one job on its queue; a container on the same data folder, Redis or Supabase project runs it.")
    .argument("<type>", "job type")
    .argument("[prompt...]", "what to make; several words are one prompt, - is what is piped in");
  addJobOptions(command)
    .option("--priority <n>", "-100 to 100, higher first", numberOption)
    .option("--delay <seconds>", "not before this time has passed", numberOption)
    .option("--idempotency-key <key>", "the same key again answers the first job")
    .option("--user <id>", "whose job it is")
    .addHelpText(
      "after",
      examples(
        'ourvidz enqueue sdxl_image_fast "a red apple" --seed 42',
        'ourvidz enqueue sdxl_image_high "a pear" --priority 10 --delay 60',
        'ourvidz enqueue sdxl_image_fast "a fox" --idempotency-key order-17 --json',
        'ourvidz enqueue sdxl_image_fast "a fox" --upstash',
      ),
    )
    .action(
      action(async (operands, options: EnqueueCommandOptions) =>
        (await import("../job/enqueue-job.ts")).enqueueJob(operands, options),
      ),
    );
}
