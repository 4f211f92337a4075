import { maxJobCharacters } from "#contract/decode.ts";
import { CodedError } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { excessOf, jobLimits } from "#contract/json-limits.ts";

/**
 * A job as every queue keeps it. Limits are the same in all of them, and those at which `decodeElement` gives up: what is
 * taken here can be read again.
 *
 * @throws CodedError BODY_TOO_LARGE
 */
export function jobBody(job: Job): string {
  const body = JSON.stringify(job);
  if (body.length > maxJobCharacters) {
    const [has, limit] = [body.length, maxJobCharacters].map((count) => count.toLocaleString("en-US"));
    throw new CodedError(
      "BODY_TOO_LARGE",
      `The job has ${has} characters, and at most ${limit} are taken: upload files, and send their addresses.`,
    );
  }
  const excess = excessOf(body, jobLimits);
  if (excess !== null) throw new CodedError("BODY_TOO_LARGE", `The job ${excess.message}: more are not taken.`);
  return body;
}
