import { z } from "zod";
import { optional } from "./job.ts";

/** How a container makes its public address known: `POST /functions/v1/update-worker-url`. */

export const registrationStatuses = ["active", "stopped"] as const;

const name = (maxCharacters: number) => {
  const error = `must be a text of 1 to ${maxCharacters} characters`;
  return z.string(error).min(1, error).max(maxCharacters, error);
};

/** The most that a type's JSON Schema may take: a container leaves a longer one out, and its doors check jobs alone. */
export const maxSchemaCharacters = 32_768;
/** The most that a registration may take, in bytes. */
export const maxRegistrationBytes = 1_048_576;

const typeName = z.string().regex(/^[a-z0-9][a-z0-9_]{0,63}$/, "must be a job type's name");

/** A job type of a deployment's own, which only its containers know. */
export const registeredType = z.looseObject({
  type: typeName,
  worker: z.string().regex(/^[a-z0-9][a-z0-9_]{0,31}$/, "must be a worker's name"),
  /** What its handler `produces`. */
  content_type: z.enum(["image", "video", "text", "nothing"]),
  /** Where its files go; the app may name another in its table of job types. */
  bucket: optional(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, "must be a bucket's name")),
  /** JSON Schema of `config`. Without one, `config` is not checked before a container has the job. */
  parameters: optional(z.record(z.string(), z.unknown())),
});

export type RegisteredType = z.output<typeof registeredType>;

export const registration = z.looseObject(
  {
    worker_url: z
      .url({ protocol: /^https?$/, error: "must be an address such as https://pod-7860.proxy.example" })
      .max(2048),
    worker_id: name(128),
    auto_registered: optional(z.boolean()),
    /** How it came about, `self` or a person's name for it. */
    registration_method: optional(name(64)),
    /** Where the address was found: `RUNPOD_POD_ID`, `PUBLIC_URL`. */
    detection_method: optional(name(64)),
    timestamp: optional(z.string().max(64)),
    /** `stopped` when the container ends. */
    status: z.preprocess(
      (value) => value ?? undefined,
      z.enum(registrationStatuses, { error: 'must be "active" or "stopped"' }).default("active"),
    ),
    /** Job types that it runs. */
    capabilities: z.preprocess(
      (value) => value ?? undefined,
      z.array(name(64), "must be a list of job types").max(200, "must be at most 200 job types").default([]),
    ),
    /** Those of its job types that the contract does not have. */
    job_types: z.preprocess(
      (value) => value ?? undefined,
      z.array(registeredType, "must be a list of job types").max(100, "must be at most 100 job types").default([]),
    ),
    version: optional(name(64)),
  },
  "must be an object",
);

export type Registration = z.output<typeof registration>;
