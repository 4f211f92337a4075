import { expect } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import { isSettled, type JobRecord } from "#runtime/sources/job-source.ts";

/* What must be true of all that has arrived at an app, in the order in which it did. */
export interface ArrivedOfJob {
  readonly jobId: string;
  /** As its source has it in the end. */
  readonly record: JobRecord;
  /** 1, and one more for each redrive. */
  readonly runs: number;
  readonly callbacks: readonly JobCallback[];
  readonly webhooks: readonly JobCallback[];
  /** How often what was sent may have come again, by its key: answers were lost, or containers killed. */
  readonly maxRepeats: (what: "callback" | "webhook", key: string) => number;
  /** Whether attempts may have ended that lost their lease before their container could settle them: then the job has another end. */
  readonly mayLoseAttempts: boolean;
}

export function keyOf({ job_id, run = 1, attempt, status }: JobCallback): string {
  return `${job_id}/${run}/${attempt}/${status}`;
}

const isFinal = ({ status }: JobCallback) => status !== "processing";
const inRun = (run: number) => (callback: JobCallback) => (callback.run ?? 1) === run;

export function checkArrived({ jobId, record, runs, callbacks, webhooks, ...may }: ArrivedOfJob): void {
  expect(isSettled(record.status), `${jobId} is ${record.status}`).toBe(true);
  for (const [what, all] of [
    ["callback", callbacks.filter(isFinal)],
    ["webhook", webhooks],
  ] as const) {
    const last = all.filter(inRun(runs));
    expect(last.length, `${jobId} has no final ${what} of run ${runs}, but is ${record.status}`).toBeGreaterThan(0);
    // Of two ends, the later is that of the source.
    const byAttempt = last.toSorted((one, other) => one.attempt - other.attempt);
    expect(byAttempt.at(-1)?.status, `${jobId}: ${what} and source`).toBe(record.status);
    for (let run = 1; run <= runs; run++) checkEndsOf(what, all.filter(inRun(run)), may);
  }
  checkOrder(callbacks);
}

type May = Pick<ArrivedOfJob, "maxRepeats" | "mayLoseAttempts">;

function checkEndsOf(
  what: "callback" | "webhook",
  finals: readonly JobCallback[],
  { maxRepeats, mayLoseAttempts }: May,
): void {
  const byKey = Map.groupBy(finals, keyOf);
  for (const [key, same] of byKey)
    expect(same.length, `${what}: ${key} arrived ${same.length} times`).toBeLessThanOrEqual(1 + maxRepeats(what, key));
  if (!mayLoseAttempts) expect([...byKey.keys()].length, `${what}: ${[...byKey.keys()]}`).toBeLessThanOrEqual(1);
}

/** No progress of an attempt after its end; none of an earlier one either that the same container has made. */
function checkOrder(callbacks: readonly JobCallback[]): void {
  for (const [place, final] of callbacks.entries()) {
    if (!isFinal(final)) continue;
    const late = callbacks.slice(place + 1).filter((callback) => {
      const isSameAttempt = callback.attempt === final.attempt;
      const isSameContainer = callback.metadata.worker_id === final.metadata.worker_id;
      return (
        !isFinal(callback) &&
        (callback.run ?? 1) === (final.run ?? 1) &&
        (isSameAttempt || (isSameContainer && callback.attempt < final.attempt))
      );
    });
    expect(late.map(keyOf), `after ${keyOf(final)}`).toEqual([]);
  }
}
