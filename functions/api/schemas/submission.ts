import { z } from "zod";
import { numberFrom } from "#contract/fields.ts";
import { jobEnvelope, optional, safeId } from "#contract/job.ts";
import { jobStatuses } from "#contract/job-states.ts";

/** At most 30 days. */
const maxDelaySeconds = 2_592_000;

export const idempotencyKey = z.string().min(1).max(255);

/** A job as it is handed in over HTTP: its fields, and beside them how it is to be queued. */
export const submission = jobEnvelope.extend({
  /** Made when absent. */
  id: optional(safeId),
  delay_seconds: optional(numberFrom(0, maxDelaySeconds)),
  idempotency_key: optional(idempotencyKey),
});

export type Submission = z.output<typeof submission>;

export const submissionHeaders = { "Idempotency-Key": idempotencyKey.describe("As the field idempotency_key.") };

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
    /** How many more nothing reads, when there are over a hundred. */
    ignored_more: z.number().int().optional(),
    /** For some of `ignored`, the field that was probably meant. */
    did_you_mean: z.record(z.string(), z.string()).optional(),
  })
  .meta({ id: "Accepted" });

export type Accepted = z.output<typeof accepted>;
