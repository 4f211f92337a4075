import type { Command } from "commander";
import { action, examples } from "../command.ts";
import { withDatabase } from "../embedded.ts";
import { exitCodes, usageError } from "../errors.ts";
import { addJobOptions, type JobOptions, numberOption } from "../job/options.ts";
import { printResult } from "../output.ts";

interface EnqueueOptions extends JobOptions {
  readonly delay?: number;
  readonly idempotencyKey?: string;
}

const longestDelaySeconds = 30 * 86_400;

export function addEnqueue(program: Command): void {
  const command = program
    .command("enqueue")
    .summary("put a job on its queue")
    .description("Puts one job on its queue; a container on the same data folder runs it.")
    .argument("<type>", "job type")
    .argument("[prompt...]", "what to make; several words are one prompt");
  addJobOptions(command)
    .option("--priority <n>", "-100 to 100, higher first", numberOption)
    .option("--delay <seconds>", "not before this time has passed", numberOption)
    .option("--idempotency-key <key>", "the same key again answers the first job")
    .option("--user <id>", "whose job it is")
    .addHelpText(
      "after",
      examples(
        'ourvidz enqueue sdxl_image_fast "a lighthouse at dawn" --seed 42',
        'ourvidz enqueue video_fast "waves on a beach" --priority 10 --delay 60',
        'ourvidz enqueue sdxl_image_fast "a red fox" --idempotency-key order-17 --json',
      ),
    )
    .action(action(enqueue));
}

async function enqueue(
  operands: readonly string[],
  options: EnqueueOptions & { readonly json?: boolean },
): Promise<number> {
  const { delay = 0, idempotencyKey } = options;
  if (delay < 0 || delay > longestDelaySeconds)
    throw usageError(`--delay is ${delay}: it must be 0 to 2,592,000 seconds (30 days).`);
  if (idempotencyKey?.trim() === "") throw usageError("--idempotency-key is empty: give it a value or leave it out.");
  return withDatabase(options, async ({ source }, config) => {
    const [{ loadHandlers }, { planJob }] = await Promise.all([
      import("#runtime/registry.ts"),
      import("../job/build-job.ts"),
    ]);
    const { job, handler } = planJob(await loadHandlers(config.handlersFolder), operands, options);
    const outcome = await source.enqueue(job, {
      worker: handler.worker,
      delaySeconds: delay,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    });
    const status = outcome.created ? "queued" : ((await source.get(outcome.jobId))?.status ?? "queued");
    printResult(
      options,
      { job_id: outcome.jobId, status, queue_position: outcome.position, created: outcome.created },
      outcome.created
        ? `${outcome.jobId} is queued (position ${outcome.position})`
        : `${outcome.jobId} was enqueued before and is ${status}`,
    );
    return exitCodes.completed;
  });
}
