import type { Outbox } from "#runtime/delivery/outbox.ts";
import { HttpError } from "../errors.ts";

/**
 * Has the end of a job reported no further. Whoever delivers settles it within seconds.
 * @returns how many reports there were
 * @throws HttpError NOT_FOUND when none waits, JOB_NOT_SETTLED while its files do
 */
export async function giveUpReports(outbox: Pick<Outbox, "giveUp">, jobId: string): Promise<number> {
  const { givenUp, storing } = await outbox.giveUp(jobId);
  if (givenUp > 0) return givenUp;
  if (storing > 0) {
    const message = `The files of job ${jobId} are not stored yet, and without them it has no end: mend what keeps them (GET /outbox, or "ourvidz outbox", names it).`;
    throw new HttpError("JOB_NOT_SETTLED", message);
  }
  throw new HttpError("NOT_FOUND", `No report of job ${jobId} waits in this outbox.`);
}
