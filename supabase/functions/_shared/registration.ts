import { z } from "zod";
import { optional } from "./job.ts";

/** How a container makes its public address known: `POST /functions/v1/update-worker-url`. */

export const registrationStatuses = ["active", "stopped"] as const;

const name = (maxCharacters: number) => {
  const error = `must be a text of 1 to ${maxCharacters} characters`;
  return z.string(error).min(1, error).max(maxCharacters, error);
};

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
    version: optional(name(64)),
  },
  "must be an object",
);

export type Registration = z.output<typeof registration>;
