import type { Accepted } from "#functions/api/schemas/submission.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { exitCodes, usageError } from "../errors.ts";
import { noteIgnored, printResult } from "../output.ts";
import { type QueueChoice, withFirstQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { describedJob, planJob } from "./build-job.ts";
import type { JobOptions } from "./options.ts";

export interface EnqueueCommandOptions extends GlobalOptions, JobOptions, QueueChoice {
  readonly delay?: number;
  readonly idempotencyKey?: string;
}

/** As over HTTP: 30 days. */
const maxDelaySeconds = 2_592_000;
const maxKeyCharacters = 255;

/** The body of `ourvidz enqueue`. What is wrong with the job is reported before the data folder is touched. */
export async function enqueueJob(operands: readonly string[], options: EnqueueCommandOptions): Promise<number> {
  const { delay = 0, idempotencyKey: key } = options;
  if (delay < 0 || delay > maxDelaySeconds)
    throw usageError(`--delay is ${delay}: it must be 0 to 2,592,000 seconds (30 days).`);
  if (key !== undefined && (key === "" || key.length > maxKeyCharacters))
    throw usageError(`--idempotency-key has ${key.length} characters: it must have 1 to ${maxKeyCharacters}.`);
  const client = await remoteClient(options);
  if (client !== null) {
    const [type = "", ...words] = operands;
    return printOutcome(
      options,
      // The container knows which job types it has and what they take.
      await client.enqueue({
        ...describedJob(type, words, options),
        delay_seconds: delay,
        ...(key === undefined ? {} : { idempotency_key: key }),
      }),
    );
  }
  const config = await readSettings(options, { serves: false });
  const { job, handler, ignored } = planJob(await loadHandlers(config.handlersFolder), operands, options);
  const { jobId, position, created, status } = await withFirstQueue(config, options, async ({ queue }) => {
    const outcome = await queue.enqueue(job, {
      worker: handler.worker,
      delaySeconds: delay,
      ...(key === undefined ? {} : { idempotencyKey: key }),
    });
    const known = outcome.created ? undefined : await queue.get(outcome.jobId);
    return { ...outcome, status: known?.status ?? "queued" };
  });
  return printOutcome(options, { job_id: jobId, status, queue_position: position, created, ignored });
}

function printOutcome(
  options: EnqueueCommandOptions,
  outcome: Omit<Accepted, "status" | "ignored"> & { readonly status: string; readonly ignored: readonly string[] },
): number {
  const { job_id, status, queue_position, created, ignored } = outcome;
  const text = created
    ? `${job_id} is queued (position ${queue_position})`
    : `${job_id} was enqueued before and is ${status}`;
  printResult(options, outcome, text);
  noteIgnored(options, ignored);
  return exitCodes.completed;
}
