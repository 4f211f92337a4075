import { z } from "zod";
import { CodedError } from "../errors.ts";
import { shortened } from "../problems.ts";

/**
 * The id of a job as a caller gives it.
 *
 * @throws CodedError INVALID_REQUEST when there is none; JOB_NOT_FOUND for what cannot be the id of a job of ours
 */
export function jobIdFrom(given: unknown): string {
  if (given === undefined || given === null || given === "") {
    throw new CodedError("INVALID_REQUEST", "job_id is missing: send the id that queue-job answered.");
  }
  const id = z.uuid().safeParse(given);
  if (!id.success) throw new CodedError("JOB_NOT_FOUND", `There is no job ${JSON.stringify(shortened(given))}.`);
  return id.data;
}
