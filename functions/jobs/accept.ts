import { randomUUID } from "node:crypto";
import { overdueProblem } from "#contract/expiry.ts";
import { invalidJob } from "#contract/problems.ts";
import { unreadFields } from "#contract/unread-fields.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { publicAddress } from "#runtime/heartbeat/public-address.ts";
import { admitInputs } from "#runtime/inputs/uploads/admit-inputs.ts";
import { addressRules } from "#runtime/inputs/uploads/check-addresses.ts";
import type { JobStatus } from "#runtime/sources/job-source.ts";
import { type Accepted, idempotencyKey, type Submission, submission } from "../api/schemas/submission.ts";
import { HttpError } from "../errors.ts";
import { jobOf } from "./submission.ts";

/** A job as it was handed in, with where it is to go. */
interface Handed {
  readonly body: Submission;
  readonly headers: Headers;
  readonly query: { readonly source?: string | undefined };
}

/**
 * Puts a job that was handed in on its queue.
 * @throws CodedError INVALID_JOB when the moment at which it expires is over, and the request cannot be a repeat
 */
export async function acceptJob(
  { body, headers, query }: Handed,
  runtime: Pick<Runtime, "queue" | "registry" | "uploads" | "config" | "webhook">,
): Promise<Accepted> {
  const { queue, registry, webhook } = runtime;
  const handler = registry.get(body.type);
  if (handler === undefined) throw new Error(`a submission of the unknown type ${body.type} got through`);
  if (body.webhook_url !== undefined) webhook.check(body.webhook_url);
  const key = keyOf(headers.get("idempotency-key"), body.idempotency_key);
  const overdue = body.id === undefined && key === undefined ? overdueProblem(body, Date.now()) : null;
  if (overdue !== null) throw invalidJob([overdue]);
  const options = { worker: handler.worker, delaySeconds: body.delay_seconds, idempotencyKey: key };
  const job = await admitInputs(jobOf(body, body.id ?? randomUUID()), handler, admissionTo(query.source, runtime));
  const { jobId, created, position } = await queue.enqueue(job, options, query);
  const status: JobStatus = created ? "queued" : ((await queue.get(jobId))?.status ?? "queued");
  return {
    job_id: jobId,
    status,
    queue_position: position,
    created,
    ...unreadFields(handler, body, Object.keys(submission.shape)),
  };
}

function admissionTo(
  source: string | undefined,
  { queue, uploads, config }: Pick<Runtime, "queue" | "uploads" | "config">,
) {
  const [first = ""] = queue.byName.keys();
  const name = source ?? first;
  const isEmbedded = config.sources.some((each) => each.name === name && each.isEmbedded);
  const { podId, http } = config;
  const publicUrl = publicAddress({ publicUrl: http.publicUrl, podId }, http.port)?.url ?? null;
  return { uploads, queue: { name, isEmbedded }, publicUrl, rules: addressRules(config) };
}

/** From the header or the body; both may be given when they agree. */
function keyOf(header: string | null, field: string | undefined): string | undefined {
  if (header === null) return field;
  if (!idempotencyKey.safeParse(header).success) {
    throw new HttpError("INVALID_REQUEST", "The header Idempotency-Key must be 1 to 255 characters long.");
  }
  if (field !== undefined && field !== header) {
    throw new HttpError("INVALID_REQUEST", "The header Idempotency-Key and the field idempotency_key differ.");
  }
  return header;
}
