import { z } from "zod";

/**
 * Where a page ended, as that page named it: every source names it by a number, and a page over several sources by the
 * number of each, `upstash:1756300000000000~sqlite:42`.
 */
export const cursor = z
  .string()
  .max(500)
  .regex(/^(?:[1-9]\d{0,15}|[a-z0-9_-]+:\d{1,16}(?:~[a-z0-9_-]+:\d{1,16})*)$/, "must be a cursor that a page returned");

/** A form that left a condition empty does not mean the jobs that have none. */
export const notEmpty = "must not be empty: leave it out";

/** One of the container's sources by its name, as GET /queues lists them. */
export const source = z.string().regex(/^[a-z0-9_-]{1,50}$/, "must be a source, as GET /queues lists them");

/** In a query: `true` or `false`. */
export const flag = z.enum(["true", "false"], 'must be "true" or "false"').transform((text) => text === "true");

/** Where a job goes: by default the first source. */
export const destination = z.strictObject({ source: source.optional() });

/** Whether files come in the answer. */
export const inline = z
  .literal("base64", 'must be "base64", or left out')
  .optional()
  .describe("base64: the files are in the answer, as `base64` of each asset; at most 8 MB of them together.");

/** Path parameters of the routes under `/jobs/:id`. Any text may be given; what is no job's id is not found. */
export const jobParams = z.object({ id: z.string() });

export const queueParams = z.object({ queue: z.string() });

export const workerParams = z.object({ worker: z.string() });
