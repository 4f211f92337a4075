import type { Outbox } from "#runtime/delivery/outbox.ts";
import { rowOfName } from "#runtime/delivery/outbox-row.ts";
import { jobIdOf } from "#runtime/endpoints/endpoint-job.ts";
import { HttpError } from "../errors.ts";

/**
 * Has the end of a job reported no further. Whoever delivers settles it within seconds.
 * @param id the job's, that by which the clients of an endpoint know its request, or the name of a row that cannot be read, which
 *   is removed
 * @returns how many reports there were
 * @throws HttpError NOT_FOUND when none waits, JOB_NOT_SETTLED while its files do, RESULT_UNREADABLE where this version cannot tell
 */
export async function giveUpReports(outbox: Pick<Outbox, "giveUp" | "removeUnreadable">, id: string): Promise<number> {
  let storing = 0;
  let unreadable = 0;
  // A job may have an id of its own in the form of a request's.
  for (const jobId of new Set([id, jobIdOf(id)])) {
    const found = await outbox.giveUp(jobId);
    if (found.givenUp > 0) return found.givenUp;
    storing += found.storing;
    unreadable += found.unreadable;
  }
  if (storing > 0) {
    const message = `The files of job ${id} are not stored yet, and without them it has no end: mend what keeps them (GET /outbox, or "ourvidz outbox", names it).`;
    throw new HttpError("JOB_NOT_SETTLED", message);
  }
  if (unreadable > 0) {
    const message = `What is written of the end of job ${id} cannot be read by this version: run the version that wrote it, or give it up by the name of its row (GET /outbox, or "ourvidz outbox", says it).`;
    throw new HttpError("RESULT_UNREADABLE", message);
  }
  const row = rowOfName(id);
  if (row !== null && (await outbox.removeUnreadable(row))) return 1;
  throw new HttpError("NOT_FOUND", `No report of job ${id} waits in this outbox.`);
}
