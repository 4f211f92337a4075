import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Runtime } from "#runtime/container/runtime.ts";
import { type JobStatus, jobStatuses } from "#runtime/sources/job-source.ts";
import { HttpError } from "../errors.ts";
import { idempotencyKey, ignoredFields, jobOf, type Submission } from "./submission.ts";

/** The answer to a job that was handed in. */
export const accepted = z
  .object({
    job_id: z.string(),
    /** "queued" for a new job; for a repeated request, what has become of the first one's. */
    status: z.enum(jobStatuses),
    /** 1 goes next; 0 does not wait any more. */
    queue_position: z.number().int(),
    /** False when an earlier request with the same id or idempotency key has made the job. */
    created: z.boolean(),
    /** What nothing reads: fields at the top of the body, `config.<name>` and `metadata.<name>`. */
    ignored: z.array(z.string()),
  })
  .meta({ id: "Accepted" });

export type Accepted = z.output<typeof accepted>;

export const submissionHeaders = { "Idempotency-Key": idempotencyKey.describe("As the field idempotency_key.") };

/** Puts a job that was handed in on its queue. */
export async function acceptJob(
  body: Submission,
  headers: Headers,
  { queue, registry }: Pick<Runtime, "queue" | "registry">,
): Promise<Accepted> {
  const handler = registry.get(body.type);
  if (handler === undefined) throw new Error(`a submission of the unknown type ${body.type} got through`);
  const { jobId, created, position } = await queue.enqueue(jobOf(body, body.id ?? randomUUID()), {
    worker: handler.worker,
    delaySeconds: body.delay_seconds,
    idempotencyKey: keyOf(headers.get("idempotency-key"), body.idempotency_key),
  });
  const status: JobStatus = created ? "queued" : ((await queue.get(jobId))?.status ?? "queued");
  return { job_id: jobId, status, queue_position: position, created, ignored: ignoredFields(body, handler) };
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
