import type { Outbox } from "#runtime/delivery/outbox.ts";
import { rowName } from "#runtime/delivery/outbox-row.ts";
import { alarmsOf, type DeliveryAlarm, noteOf, unreadableAlarms } from "#runtime/delivery/waits.ts";
import type { OutboxView } from "../api/outbox-list.ts";
import { iso } from "../jobs/job-view.ts";

const maxRows = 100;
const maxCounted = 10_000;

/** What keeps the rows of a data folder, by what is written with them: it says no more of since when than how old they are. */
export function alarmsIn(outbox: Pick<Outbox, "oldest" | "unreadable">, nowMs: number): readonly DeliveryAlarm[] {
  const waits = outbox.oldest(maxCounted).map(({ error, createdAtMs, ...row }) => ({
    row: { ...row, createdAtMs },
    error,
    sinceMs: createdAtMs,
  }));
  return [...unreadableAlarms(outbox.unreadable(maxCounted)), ...alarmsOf(waits, nowMs)];
}

/** @param alarms of the process that delivers, or `alarmsIn` the data folder */
export function viewOutbox(
  outbox: Pick<Outbox, "backlog" | "oldest" | "unreadable">,
  alarms: readonly DeliveryAlarm[],
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
    unreadable: outbox
      .unreadable(maxRows)
      .map(({ id, jobId, createdAtMs }) => ({ row: rowName(id), job_id: jobId, since: iso(createdAtMs) })),
  };
}
