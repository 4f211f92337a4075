import type { DeliveryNote } from "#contract/delivery-note.ts";
import { CodedError } from "#contract/errors.ts";

/** @param state what the job is, or how far its delivery has come */
export function nothingToCancel(jobId: string, state: string | Pick<DeliveryNote, "becomes">): CodedError {
  const what =
    typeof state === "string" ? `is ${state}` : `has been worked off (${state.becomes}) and is being delivered`;
  const details = { status: typeof state === "string" ? state : "delivering" };
  return new CodedError("JOB_ALREADY_SETTLED", `Job ${jobId} ${what}: there is nothing to cancel.`, { details });
}
