import { z } from "zod";
import { errorCodes } from "#contract/errors.ts";
import { numberFrom, wholeNumberFrom } from "#contract/fields.ts";
import { notEmpty, source } from "./parameters.ts";

/* Changes of many jobs: which ones, how many at once, and what became of them. */

/** Ten years. */
const maxAgeSeconds = 315_360_000;

export const changeCursor = z
  .string()
  .max(2100)
  .regex(/^[a-z0-9_-]{1,50}\.[A-Za-z0-9_-]*$/, "must be a cursor that a call answered");

/** Newer containers on the same queue may have codes that this one does not know. */
export const errorCode = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{0,63}$/, "must be the code of an error, as GET /failures lists them");

/** How many jobs one call looks at, and where the one before ended. */
const part = {
  limit: wholeNumberFrom(1, 10_000).default(1000),
  cursor: changeCursor.optional(),
};

/** What every filter may say beside the state; a misspelt condition that is ignored would change what was not meant. */
export const conditions = {
  queue: z.string().min(1, notEmpty).max(100).optional(),
  type: z.string().min(1, notEmpty).max(200).optional(),
  user_id: z.string().min(1, notEmpty).max(200).optional(),
  /** Made at least so long ago. */
  older_than_seconds: numberFrom(0, maxAgeSeconds).optional(),
  source: source.optional(),
  /** Changes nothing, and counts. */
  dry_run: z.boolean().optional(),
  ...part,
};

/** Jobs that match and were left as they are: a code and a sentence for each reason. */
export const leftJobs = z.array(z.object({ code: z.enum(errorCodes), message: z.string(), jobs: z.number().int() }));

export const changeOutcome = {
  /** Jobs that matched and were looked at by this call. */
  matched: z.number().int(),
  left: leftJobs,
  /** For the next call; null when all have been looked at. */
  cursor: z.string().nullable(),
  /** Sources that did not answer: ask again. */
  unreachable: z.array(z.string()),
};
