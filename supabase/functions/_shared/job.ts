import { z } from "zod";
import { expiresAt, expiresInSeconds, timeoutSeconds } from "./expiry.ts";
import { webhookUrl } from "./webhook.ts";

export const safeIdRule = "must be 1 to 128 letters, digits, '-' or '_' and begin with a letter or digit";

/** Ids become file names and queue keys, so they are limited to what is safe in both. */
export const safeId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/, safeIdRule);

/** Present on the wire as null by some producers: null means "not given". */
export const optional = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => value ?? undefined, schema.optional());

/** `schema` with its own default (`.default(…)`, `.prefault(…)`) for null as well as for absent. */
export const defaulted = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => value ?? undefined, schema);

const priorityRule = "must be a whole number from -100 to 100";
export const priority = z.number(priorityRule).int(priorityRule).min(-100, priorityRule).max(100, priorityRule);
const anyObject = z.record(z.string(), z.unknown());

/** Of a folder in the models folder, or another name of it. */
export const modelName = z
  .string("must be the name of a model folder")
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, "must be the name of a model folder");

/**
 * The part of a job that every job type shares, after its dialect has been decoded. What a job type asks of `prompt`,
 * `config` and `metadata` is in its handler's `input`; unknown keys are kept.
 */
export const jobEnvelope = z.looseObject({
  id: safeId,
  type: z.string().regex(/^[a-z0-9][a-z0-9_]{0,63}$/, "must be a job type's name in snake_case"),
  prompt: optional(z.string()),
  user_id: defaulted(safeId.default("anonymous")),
  created_at: optional(z.string()),
  priority: defaulted(priority.default(0)),
  model_variant: optional(modelName),
  bucket: optional(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, "must be a bucket's name")),
  /** Where the job's end is reported to, beside the app. */
  webhook_url: optional(webhookUrl),
  config: defaulted(
    z
      .looseObject({
        expires_in_seconds: optional(expiresInSeconds),
        expires_at: optional(expiresAt),
        timeout_seconds: optional(timeoutSeconds),
      })
      .prefault({}),
  ),
  metadata: defaulted(anyObject.prefault({})),
});

export type Job = z.output<typeof jobEnvelope>;

/** Where the files of a job go: its own bucket, else one for each job type. */
export function bucketOf(job: Pick<Job, "bucket" | "type">): string {
  return job.bucket ?? job.type;
}

/** One thing that is wrong with a job: `field` is a dotted path such as `config.num_images`. */
export interface FieldProblem {
  readonly field: string;
  readonly value?: unknown;
  readonly message: string;
}
