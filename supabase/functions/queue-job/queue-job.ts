import { z } from "zod";
import { HttpError } from "../_shared/edge/answer.ts";
import { readJson } from "../_shared/edge/body.ts";
import { defineEdgeFunction, type EdgeCall } from "../_shared/edge/edge-function.ts";
import { pushFromOutbox, sweepOutbox } from "../_shared/edge/outbox.ts";
import { registeredTypeProblems } from "../_shared/edge/registered-type.ts";
import { waitingFor } from "../_shared/edge/waiting-for.ts";
import { readNewJob, withIdAndTime } from "../_shared/enqueue.ts";
import { CodedError } from "../_shared/errors.ts";
import { overdueProblem } from "../_shared/expiry.ts";
import type { FieldProblem, Job } from "../_shared/job.ts";
import { invalidJob, parseWith, shortened } from "../_shared/problems.ts";
import { unofferedNeed } from "../_shared/queue-offers.ts";
import { schemaOf } from "../_shared/schemas.ts";
import { isGiven, isJsonObject } from "../_shared/synonyms.ts";
import { type UnreadFields, unreadFields } from "../_shared/unread-fields.ts";
import { policy } from "./policy.ts";

/*
 * A signed-in user's job: checked, written into the database, pushed to its queue. The row and what is to be pushed are
 * one transaction (see outbox.ts), so that there is neither a row without an element nor an element without a row.
 */
export const maxBodyBytes = 1_048_576;

const keyRule = "must be 1 to 255 characters long";
const delayRule = "must be left out: jobs are pushed at once";
const idempotencyKey = z.string().min(1).max(255).nullish();

const enqueued = z.object({
  job_id: z.string(),
  created: z.boolean(),
  position: z.number(),
  queue: z.string(),
  status: z.string(),
  element: z.looseObject({ type: z.string(), id: z.string() }),
  waiting_for: unofferedNeed.nullish(),
});

export const queueJob = defineEdgeFunction({
  name: "queue-job",
  methods: ["POST"],
  callers: ["user"],
  async run(call) {
    const { caller, config, database } = call;
    const { job, idempotencyKey, unread } = readSubmission(await readJson(call.request, maxBodyBytes), call);
    const wrong = await registeredTypeProblems(call, job);
    if (wrong.length > 0) throw invalidJob(wrong);
    const request = { userId: caller.id, claims: caller.claims, job };
    await policy.check(request);
    const limits = policy.limits(request);
    const options = {
      source: config.queue === null ? "supabase" : "upstash",
      max_waiting: limits.waiting,
      max_per_minute: limits.perMinute,
      request: crypto.randomUUID(),
      ...(idempotencyKey === undefined ? {} : { idempotency_key: idempotencyKey }),
    };
    const enqueue = () => database.call("enqueue_job", { job, options }, enqueued);
    // An answer may be lost after the row was written; the same call again is known by its id and `request`.
    const { element, waiting_for, ...row } = await enqueue().catch((error: unknown) => {
      if (error instanceof CodedError && error.code === "DATABASE_UNREACHABLE") return enqueue();
      throw error;
    });
    // A job that an earlier request has made was pushed by it, or is in the outbox.
    const isPushed = !row.created || (await pushFromOutbox(call, { ...row, element }));
    const need = { queue: row.queue, type: job.type, model: job.model_variant ?? null };
    const isWaiting = config.queue !== null && isPushed && row.status === "queued";
    const lack = isWaiting ? await waitingFor(call, need) : (waiting_for ?? null);
    call.inBackground("sweeping the outbox", sweepOutbox(call));
    const { job_id, status, position, queue, created } = row;
    return {
      status: 202,
      body: { success: true, job_id, status, queue_position: position, queue, created, waiting_for: lack, ...unread },
    };
  },
});

interface JobRequest {
  readonly job: Job;
  readonly idempotencyKey: string | undefined;
  readonly unread: UnreadFields;
}

/** @throws CodedError INVALID_JOB with every bad field, FORBIDDEN, INVALID_REQUEST */
function readSubmission(
  body: unknown,
  { request, caller, config }: Pick<EdgeCall<"user">, "request" | "caller" | "config">,
): JobRequest {
  if (!isJsonObject(body)) throw new HttpError("INVALID_REQUEST", "The body must be a JSON object: a job.");
  // Older producers name some fields otherwise.
  const { idempotency_key: givenKey, user_id, userId, type, jobType, job_type, ...fields } = body;
  if ([user_id, userId].some((given) => isGiven(given) && given !== caller.id)) {
    throw new CodedError("FORBIDDEN", "user_id is another user's: leave it out, it is taken from your token.");
  }
  const { id: canonicalId, jobId, job_id, ...rest } = fields;
  const given = canonicalId ?? jobId ?? job_id ?? crypto.randomUUID();
  const id = z.uuid().safeParse(given);
  const key = parseWith(idempotencyKey, givenKey);
  const named = {
    id: id.data ?? crypto.randomUUID(),
    type: type ?? jobType ?? job_type ?? "",
    user_id: caller.id,
  };
  const { job, problems } = readNewJob(withIdAndTime({ ...rest, ...named }));
  const more: FieldProblem[] = [];
  if (!id.success) more.push({ field: "id", value: shortened(given), message: "must be a UUID" });
  if (!key.ok) more.push({ field: "idempotency_key", value: shortened(givenKey), message: keyRule });
  if (isGiven(fields.delay_seconds))
    more.push({ field: "delay_seconds", value: shortened(fields.delay_seconds), message: delayRule });
  more.push(...webhookProblems(job, config.webhookHosts));
  const header = request.headers.get("idempotency-key");
  const isNamed = isGiven(canonicalId ?? jobId ?? job_id ?? givenKey ?? header);
  const overdue = isNamed ? null : overdueProblem(job, Date.now());
  if (overdue !== null) more.push(overdue);
  if (problems.length + more.length > 0) throw invalidJob([...more, ...problems]);
  const ownKey = keyOf(header, (key.ok ? key.value : null) ?? undefined);
  return { job, idempotencyKey: ownKey, unread: unreadOf(job, rest.config) };
}

/** A user's job has the containers call the app's own hosts, and nobody else's. */
function webhookProblems({ webhook_url: url }: Job, hosts: readonly string[]): FieldProblem[] {
  const address = URL.parse(url ?? "");
  if (url === undefined || (address !== null && [address.host, address.hostname].some((host) => hosts.includes(host))))
    return [];
  const value = shortened(url);
  const message = "must be left out, or be an address of a host that the function's WEBHOOK_HOSTS names";
  return [{ field: "webhook_url", value, message }];
}

/** None of a deployment's own type, whose schema only its containers know. */
function unreadOf(job: Job, written: unknown): UnreadFields {
  const schema = schemaOf(job.type);
  if (schema === undefined) return { ignored: [] };
  return unreadFields(schema, isJsonObject(written) ? { ...job, config: written } : job);
}

/** From the header or the body; both may be given when they agree. */
function keyOf(header: string | null, field: string | undefined): string | undefined {
  if (header === null) return field;
  if (!idempotencyKey.safeParse(header).success) {
    throw new HttpError("INVALID_REQUEST", `The header Idempotency-Key ${keyRule}.`);
  }
  if (field !== undefined && field !== header) {
    throw new HttpError("INVALID_REQUEST", "The header Idempotency-Key and the field idempotency_key differ.");
  }
  return header;
}
