import { isSettled, type JobRecord } from "#runtime/sources/job-source.ts";
import type { OpenQueue } from "../queue.ts";
import { statusText } from "./view.ts";

/** Limit of a wait without any event: a lease that runs out is detected by whoever takes next, not here. */
const lookAgainMs = 2000;

/**
 * Waits until the job is settled or `signal` aborts and returns what is known of it then. `onChange` gets each state
 * that reads differently from the one before.
 */
export async function followJob(
  { queue, waitForChange }: Pick<OpenQueue, "queue" | "waitForChange">,
  first: JobRecord,
  signal: AbortSignal,
  onChange: (status: string) => void,
): Promise<JobRecord> {
  let record = first;
  let shown = "";
  for (;;) {
    const { status, progress, cancelRequested: cancel_requested, waitingFor: waiting_for, delivery } = record;
    const text = statusText({ status, progress, cancel_requested, waiting_for, delivery });
    if (text !== shown) onChange(text);
    shown = text;
    if (isSettled(record.status) || signal.aborted) return record;
    await waitForChange(lookAgainMs, signal);
    record = (await queue.get(record.job.id)) ?? record;
  }
}
