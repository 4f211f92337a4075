import { z } from "zod";

const moment = z.iso.datetime();

/**
 * Why a job that has been worked off has not reached the app yet. Its state stays `running`, so that whoever knows the
 * five states goes on; who knows of this shows "delivering".
 */
export const deliveryNote = z.object({
  /** What the job will be. */
  becomes: z.enum(["completed", "failed", "cancelled"]),
  /**
   * `files`: they are being stored. `report`: they are, and the app is being notified. `webhook`: the job has ended, and
   * the address in its `webhook_url` is being notified.
   */
  step: z.enum(["files", "report", "webhook"]),
  since: moment,
  /** How often this step has failed. */
  tries: z.number().int().min(0),
  /** Why the last try failed; null when none has. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  next_try_at: moment.nullable(),
});
export type DeliveryNote = z.output<typeof deliveryNote>;
