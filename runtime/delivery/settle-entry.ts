import type { JobResult, JobSource, ResultFiles, SettleOutcome } from "#runtime/sources/job-source.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/** Brings the job to the recorded end at its source. */
export function settleEntry(source: JobSource, entry: OutboxEntry, files: ResultFiles): Promise<SettleOutcome> {
  const { settlement, lease } = entry;
  switch (settlement.kind) {
    case "complete":
      return source.complete(lease, resultOf(entry), files);
    case "fail":
      return source.fail(lease, settlement.error);
    case "cancelled":
      return source.cancelled(lease);
  }
}

/** What its source remembers of a completed job. */
export function resultOf({ callback }: OutboxEntry): JobResult {
  return {
    assets: callback.assets,
    metadata: callback.metadata,
    ...(typeof callback.text === "string" ? { text: callback.text } : {}),
  };
}
