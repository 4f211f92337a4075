import type { JobEnd } from "#runtime/dispatch/job-end.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/** What the job will be when the entry is delivered. */
export function becomesOf({ settlement }: Pick<OutboxEntry, "settlement">): JobEnd["status"] {
  return ({ complete: "completed", fail: "failed", cancelled: "cancelled" } as const)[settlement.kind];
}

export function endOf(entry: OutboxEntry): JobEnd {
  const { settlement, lease, callback } = entry;
  return {
    jobId: lease.jobId,
    type: String(callback.metadata.job_type),
    attempt: lease.attempt,
    status: becomesOf(entry),
    ...(settlement.kind === "fail" ? { error: settlement.error } : {}),
  };
}
