import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { expiryMomentOf, expirySecondsOf } from "#contract/expiry.ts";
import type { Job } from "#contract/job.ts";
import type { Keys } from "#contract/queue-keys.ts";
import { bodyDigest } from "#runtime/lib/body-digest.ts";
import type { EnqueueOptions, EnqueueOutcome } from "../job-source.ts";
import { readJob } from "./records.ts";
import * as replies from "./replies.ts";
import type { RestClient } from "./rest-client.ts";

export interface EnqueueCall {
  readonly client: RestClient;
  readonly keys: Keys;
  readonly keepSeconds: number;
  /** Names this instance in what the script publishes. */
  readonly origin: string;
  readonly maxWaitingPerUser: number;
  /** The job as it is kept. */
  readonly body: string;
}

export interface Enqueued extends EnqueueOutcome {
  /** When the job can be taken, by the server's clock. */
  readonly availableAtMs: number;
}

type Answer = z.output<typeof replies.enqueueAnswer>;

/**
 * Puts a job onto its queue, once for its id and idempotency key.
 *
 * @throws CodedError TOO_MANY_JOBS, IDEMPOTENCY_CONFLICT
 */
export async function enqueueJob(job: Job, options: EnqueueOptions, call: EnqueueCall): Promise<Enqueued> {
  const request = randomUUID();
  const answer = await runEnqueue(job, options, call, { request });
  if (answer[0] !== "compare") return outcomeOf(answer, job, options, call);
  // A producer pushed the earlier job, in its own dialect, which is understood here and not in the database.
  const [, pushed, id] = answer;
  const card = { id, type: job.type, user: job.user_id, priority: job.priority, isEnqueued: false };
  const earlier = readJob(pushed, card);
  const compared = await runEnqueue(job, options, call, { request, digestOfKnown: bodyDigest(earlier.job) });
  return outcomeOf(compared, job, options, call);
}

async function runEnqueue(
  job: Job,
  { worker, delaySeconds = 0, idempotencyKey, run }: EnqueueOptions,
  { client, keys, keepSeconds, origin, maxWaitingPerUser, body }: EnqueueCall,
  more: { readonly request: string; readonly digestOfKnown?: string },
): Promise<Answer> {
  const expirySeconds = expirySecondsOf(job);
  const args = {
    ...more,
    jobPrefix: keys.jobPrefix,
    parkedPrefix: keys.parkedPrefix,
    channel: keys.events,
    origin,
    id: job.id,
    type: job.type,
    worker,
    user: job.user_id,
    priority: job.priority,
    model: job.model_variant,
    run,
    digest: bodyDigest(job),
    expiresIn: expirySeconds === null ? undefined : Math.ceil(expirySeconds * 1000),
    expiresAt: expiryMomentOf(job) ?? undefined,
    delayMs: Math.round(delaySeconds * 1000),
    keepSeconds,
    maxWaiting: maxWaitingPerUser,
  };
  const key = idempotencyKey === undefined ? "" : keys.idempotency(job.user_id, idempotencyKey);
  const { index, timetable, discarded } = keys;
  const places = [index, timetable, keys.ready(worker), keys.turns(worker), key, discarded];
  let tries = 0;
  const nextTry = () => ({ keys: places, args: [JSON.stringify({ ...args, isRepeat: ++tries > 1 }), body] });
  return replies.enqueueAnswer.parse(await client.run("enqueue", nextTry));
}

function outcomeOf(
  answer: Answer,
  job: Job,
  { idempotencyKey }: EnqueueOptions,
  { maxWaitingPerUser }: EnqueueCall,
): Enqueued {
  switch (answer[0]) {
    case "enqueued": {
      const [, created, jobId, position, availableAtMs] = answer;
      return { jobId, created: created === 1, position, availableAtMs };
    }
    case "full":
      throw new CodedError(
        "TOO_MANY_JOBS",
        `User ${job.user_id} has ${answer[1]} jobs waiting: at most ${maxWaitingPerUser} are taken.`,
      );
    default: {
      const [, by, jobId] = answer;
      const what = by === "key" ? `Idempotency key "${idempotencyKey}"` : `Job id ${job.id}`;
      throw new CodedError(
        "IDEMPOTENCY_CONFLICT",
        `${what} was used for a job with another body: send the same body again, or use a new one.`,
        { details: { jobId } },
      );
    }
  }
}
