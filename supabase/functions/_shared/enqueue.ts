import { decodeElement, maxJobCharacters } from "./decode.ts";
import { CodedError, PermanentError } from "./errors.ts";
import type { Job } from "./job.ts";
import { isJobType, jobTypes, queueName } from "./job-types.ts";
import { invalidJob, parseJob, unknownJobType } from "./problems.ts";
import { type QueueRefusal, refusalOf, unanswered, unreachable } from "./queue-errors.ts";
import { schemaOf } from "./schemas.ts";
import { isGiven } from "./synonyms.ts";

/**
 * The producer's side of the queue, for edge functions (Deno) and Node alike: `fetch` and nothing else.
 *
 *   const { jobId } = await enqueueJob(
 *     { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: user.id, config: { num_images: 3 } },
 *     { url: Deno.env.get("UPSTASH_REDIS_REST_URL"), token: Deno.env.get("UPSTASH_REDIS_REST_TOKEN") },
 *   );
 *
 * A job is pushed to its worker's plain list and the push is made known, in one request of two commands. It is filed
 * under its id when a container takes it off the list, where an id that is known is dropped: pushing again, after an
 * answer was lost or by a user who is impatient, makes no second job.
 */
export interface EnqueueTarget {
  /** Of the database's REST API. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  /** Begins the keys of this deployment. */
  readonly prefix?: string;
  /** Needed for job types of the deployment's own. */
  readonly worker?: string;
  /** How long one try may take. */
  readonly timeoutMs?: number;
  readonly tries?: number;
  readonly fetch?: typeof fetch;
}

/** A job as a producer makes it; id and time stamp are added when they are missing. */
export interface NewJob {
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

export const defaultPrefix = "ourvidz";

/** Where containers hear that there is something for them. */
export function eventsChannel(prefix: string = defaultPrefix): string {
  return `${prefix}:events`;
}

const firstPauseMs = 150;

/**
 * Checks a job against the schema of its type and puts it on its queue.
 *
 * @throws CodedError INVALID_JOB (every bad field is named) or UNKNOWN_JOB_TYPE; CONFIG_INVALID when URL or token are
 *   missing or refused; BODY_TOO_LARGE; QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA or QUEUE_FULL when the server takes nothing
 */
export async function enqueueJob(job: NewJob, target: EnqueueTarget): Promise<Enqueued> {
  const checked = checkJob(withIdAndTime(job));
  const worker = isJobType(checked.type) ? jobTypes[checked.type].worker : target.worker;
  if (worker === undefined) throw unknownJobType(checked.type, Object.keys(jobTypes));
  const queue = queueName(worker);
  const element = JSON.stringify(checked);
  if (element.length > maxJobCharacters) {
    const limit = maxJobCharacters.toLocaleString("en-US");
    throw new CodedError("BODY_TOO_LARGE", `The job has ${element.length} characters: at most ${limit} are taken.`);
  }
  const [listed] = await send(target, [
    ["LPUSH", queue, element],
    ["PUBLISH", eventsChannel(target.prefix), `jobs:producer:${worker}:0`],
  ]);
  return { jobId: checked.id, queue, listed: Number(listed) };
}

/** Older producers name the id otherwise. */
function withIdAndTime(job: NewJob): NewJob {
  const hasId = [job.id, job.jobId, job.job_id].some(isGiven);
  const created_at = job.created_at ?? job.createdAt ?? new Date().toISOString();
  return { ...job, ...(hasId ? {} : { id: crypto.randomUUID() }), created_at };
}

/** The job under its canonical names. Defaults are not filled in: that is the handler's, when the job is taken. */
function checkJob(job: NewJob): Job {
  const decoded = decodeElement(job);
  if (!decoded.ok) {
    throw decoded.rejected
      ? invalidJob(decoded.rejected.problems)
      : new PermanentError(`The job cannot be read: ${decoded.reason}`, { code: "INVALID_JOB" });
  }
  const schema = schemaOf(decoded.job.type);
  const parsed = schema === undefined ? undefined : parseJob(schema, decoded.job);
  if (parsed !== undefined && !parsed.ok) throw invalidJob(parsed.problems);
  return decoded.job;
}

/** Sends commands as one transaction, again as long as that may help. */
async function send(target: EnqueueTarget, commands: readonly (readonly string[])[]): Promise<unknown[]> {
  const { url, token, tries = 3 } = target;
  if (!url || !token) {
    const missing = url ? "UPSTASH_REDIS_REST_TOKEN" : "UPSTASH_REDIS_REST_URL";
    throw new CodedError("CONFIG_INVALID", `${missing} is not set: the queue cannot be reached without it.`);
  }
  for (let tried = 1; ; tried += 1) {
    const answer = await post(target, `${url.replace(/\/+$/, "")}/multi-exec`, token, commands);
    if (Array.isArray(answer)) return answer;
    if (!answer.passing || tried >= tries) throw answer.error;
    await new Promise((resolve) => setTimeout(resolve, firstPauseMs * 2 ** (tried - 1) * (0.5 + Math.random() / 2)));
  }
}

async function post(
  { timeoutMs = 10_000, fetch: send = fetch }: EnqueueTarget,
  url: string,
  token: string,
  commands: readonly (readonly string[])[],
): Promise<unknown[] | QueueRefusal> {
  let text: string;
  try {
    const response = await send(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(commands),
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await response.text();
  } catch (error) {
    return unanswered(error);
  }
  return readAnswer(text);
}

/** `[{"result": …}, …]`, `{"error": …}`, an error in the place of a result, or somebody's page. */
function readAnswer(text: string): unknown[] | QueueRefusal {
  const answer = parseJson(text);
  if (!Array.isArray(answer)) {
    const words = errorIn(answer);
    return words === undefined ? unreachable("something in front of it answered with a page") : refusalOf(words);
  }
  const words = answer.map(errorIn).find((each) => each !== undefined);
  if (words !== undefined) return refusalOf(words);
  return answer.map((each: unknown) => (isObject(each) ? each.result : undefined));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorIn(answer: unknown): string | undefined {
  return isObject(answer) && typeof answer.error === "string" ? answer.error : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
