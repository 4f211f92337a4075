import { checkJob } from "./check-job.ts";
import { decodeProduced, maxJobCharacters } from "./decode.ts";
import { CodedError, PermanentError } from "./errors.ts";
import { overdueProblem } from "./expiry.ts";
import type { FieldProblem, Job } from "./job.ts";
import { isJobType, jobTypes, queueName } from "./job-types.ts";
import { invalidJob, unknownJobType } from "./problems.ts";
import { type QueueClient, type QueueOptions, requestQueue } from "./queue-client.ts";
import { eventsChannel } from "./queue-keys.ts";
import { schemaOf } from "./schemas.ts";
import { isGiven, type JsonObject } from "./synonyms.ts";

/**
 * The producer's side of the queue, for edge functions (Deno) and Node alike, over the client that the caller has:
 *
 *   import { Redis } from "@upstash/redis";
 *
 *   const { jobId } = await enqueueJob(Redis.fromEnv(), {
 *     type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: user.id, config: { num_images: 3 },
 *   });
 *
 * A caller without one makes it with `connectQueue` (edge/connect-queue.ts).
 *
 * A job is pushed to its worker's plain list and the push is made known, in one request of two commands. It is filed
 * under its id when a container takes it off the list, where an id that is known is dropped: pushing again, after an
 * answer was lost or by a user who clicks twice, makes no second job.
 */
export interface EnqueueJobOptions extends QueueOptions {
  /** Needed for job types of the deployment's own. */
  readonly worker?: string;
}

/** A job as a producer makes it; id and time stamp are added when they are missing. */
export interface JobToEnqueue {
  readonly type: string;
  readonly id?: string;
  readonly prompt?: string | null;
  readonly user_id?: string | null;
  readonly priority?: number | null;
  readonly config?: Readonly<Record<string, unknown>> | null;
  readonly metadata?: Readonly<Record<string, unknown>> | null;
  readonly [field: string]: unknown;
}

export interface Enqueued {
  readonly jobId: string;
  readonly queue: string;
  /** Elements on the list, this one included, that no container has taken off yet. */
  readonly listed: number;
}

/**
 * Checks a job against the schema of its type and puts it on its queue.
 *
 * @throws CodedError INVALID_JOB (every bad field is named) or UNKNOWN_JOB_TYPE; CONFIG_INVALID when the
 *   token is missing or refused; BODY_TOO_LARGE; QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA or QUEUE_FULL when the server takes nothing
 */
export async function enqueueJob(
  redis: QueueClient,
  job: JobToEnqueue,
  options: EnqueueJobOptions = {},
): Promise<Enqueued> {
  const { job: checked, problems } = readNewJob(withIdAndTime(job));
  const overdue = checked.id === job.id ? null : overdueProblem(checked, Date.now());
  const all = overdue === null ? problems : [...problems, overdue];
  if (all.length > 0) throw invalidJob(all);
  const worker = isJobType(checked.type) ? jobTypes[checked.type].worker : options.worker;
  if (worker === undefined) throw unknownJobType(checked.type, Object.keys(jobTypes));
  const queue = queueName(worker);
  const element = JSON.stringify(checked);
  if (element.length > maxJobCharacters) {
    const limit = maxJobCharacters.toLocaleString("en-US");
    throw new CodedError("BODY_TOO_LARGE", `The job has ${element.length} characters: at most ${limit} are taken.`);
  }
  const answer = await requestQueue(() => {
    const transaction = redis.multi();
    transaction.lpush(queue, element);
    transaction.publish(eventsChannel(options.prefix), `jobs:producer:${worker}:0`);
    return transaction.exec();
  }, options);
  const [listed]: unknown[] = Array.isArray(answer) ? answer : [];
  return { jobId: checked.id, queue, listed: Number(listed) };
}

/** A job as its producer made it, with an id and a time stamp. Older producers name the id otherwise. */
export function withIdAndTime(job: Readonly<JsonObject>): JsonObject {
  const hasId = [job.id, job.jobId, job.job_id].some(isGiven);
  const created_at = job.created_at ?? job.createdAt ?? new Date().toISOString();
  return { ...job, ...(hasId ? {} : { id: crypto.randomUUID() }), created_at };
}

export interface ReadNewJob {
  /** Under its canonical names. Defaults are not filled in: that is the handler's, when the job is taken. */
  readonly job: Job;
  readonly problems: readonly FieldProblem[];
}

/**
 * Reads a job as a container will, and lists all that is wrong with it. A type that is not known here is not wrong: it
 * may be a deployment's own.
 *
 * @throws CodedError INVALID_JOB for what has no id or no type
 */
export function readNewJob(job: Readonly<JsonObject>): ReadNewJob {
  const decoded = decodeProduced(job);
  if (decoded.ok) return { job: decoded.job, problems: problemsOfType(decoded.job, []) };
  const { reason, rejected } = decoded;
  if (rejected === undefined) throw new PermanentError(`The job cannot be read: ${reason}`, { code: "INVALID_JOB" });
  return { job: rejected.job, problems: [...rejected.problems, ...problemsOfType(rejected.job, rejected.problems)] };
}

/** What the schema of its type says of a job, but for fields that are known to be bad: they are missing from it. */
function problemsOfType(job: Job, known: readonly FieldProblem[]): readonly FieldProblem[] {
  const schema = schemaOf(job.type);
  const parsed = schema === undefined ? undefined : checkJob(schema, job);
  if (parsed === undefined || parsed.ok) return [];
  const isKnown = ({ field }: FieldProblem) =>
    known.some((bad) => field === bad.field || field.startsWith(`${bad.field}.`));
  return parsed.problems.filter((problem) => !isKnown(problem));
}
