import { CodedError, type ErrorCode } from "#contract/errors.ts";
import type { JobQueue, JobRecord, JobStatus } from "./job-source.ts";

/*
 * What a job's state keeps from being done, with what can be done instead. A source says that it refuses; the sentence is
 * made here, for all of them, and leads to no other refusal.
 */

const onlyFailed = "only a failed job can be retried";
const onlyEnded = "only a job that has ended can be discarded";
const ended = "there is nothing to cancel; it can be discarded";

/** By the refusal's code: what to do in each state in which a job can be refused for it. */
const remedies: Readonly<Partial<Record<ErrorCode, Readonly<Partial<Record<JobStatus | "delivering", string>>>>>> = {
  JOB_ALREADY_SETTLED: {
    completed: ended,
    failed: `${ended}, or retried`,
    cancelled: ended,
    delivering: "there is nothing to cancel",
  },
  JOB_NOT_FAILED: {
    queued: `${onlyFailed}, and this one runs when its turn comes`,
    running: `${onlyFailed}, and this one has not ended`,
    completed: `${onlyFailed}; hand in a new one`,
    cancelled: `${onlyFailed}; hand in a new one`,
    delivering: "there is nothing to retry",
  },
  JOB_NOT_SETTLED: {
    queued: `${onlyEnded}; cancel it first`,
    running: `${onlyEnded}; cancel it first`,
    delivering: "it can be discarded when its result has been delivered",
  },
};

const howToDeliver = "/outbox (ourvidz outbox) says what keeps it, /outbox/try (ourvidz outbox --try) tries it at once";

/** The refusal of a change as whoever asked for it reads it; any other error as it is. */
export async function explained(error: unknown, queue: Pick<JobQueue, "get">, jobId: string): Promise<unknown> {
  if (!(error instanceof CodedError)) return error;
  const remedy = remedies[error.code];
  const record = remedy === undefined ? null : await queue.get(jobId).catch(() => null);
  if (remedy === undefined || record === null) return error;
  const state = stateOf(record);
  const what = remedy[state];
  // It has changed since, and is no longer what it was refused for.
  if (what === undefined) return error;
  const message =
    record.delivery === null
      ? `Job ${jobId} is ${state}: ${what}.`
      : `Job ${jobId} has been worked off (${record.delivery.becomes}) and is being delivered: ${what}; ${howToDeliver}.`;
  return new CodedError(error.code, message, { details: { status: state } });
}

function stateOf({ status, delivery }: JobRecord): JobStatus | "delivering" {
  return delivery === null ? status : "delivering";
}
