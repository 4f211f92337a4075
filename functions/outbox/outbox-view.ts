import type { Outbox } from "#runtime/delivery/outbox.ts";
import { type DeliveryAlarm, noteOf } from "#runtime/delivery/waits.ts";
import type { OutboxView } from "../api/outbox-list.ts";
import { iso } from "../jobs/job-view.ts";

const maxRows = 100;

/** @param alarms those of the process that delivers; of a data folder without one there are none */
export function viewOutbox(
  outbox: Pick<Outbox, "backlog" | "oldest">,
  alarms: readonly DeliveryAlarm[] = [],
): OutboxView {
  const { rows, oldestSeconds } = outbox.backlog();
  return {
    waiting: rows,
    oldest_seconds: oldestSeconds,
    alarms: alarms.map(({ code, message, step, sinceMs, jobs, needsMending }) => ({
      code,
      message,
      step,
      since: iso(sinceMs),
      jobs,
      needs_mending: needsMending,
    })),
    rows: outbox.oldest(maxRows).map(({ error, nextTryAtMs, ...row }) => ({
      ...noteOf({ row, error, nextTryAtMs }),
      job_id: row.entry.lease.jobId,
      type: String(row.entry.callback.metadata.job_type),
      source: row.entry.source,
      attempt: row.entry.lease.attempt,
      files: row.entry.files.length,
    })),
  };
}
