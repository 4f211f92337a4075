import { z } from "zod";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import type { ErrorReport } from "#contract/errors.ts";
import { safeId } from "#contract/job.ts";
import { errorReport } from "#runtime/executor/protocol.ts";
import { flagColumn, jsonColumn } from "#runtime/lib/database/statements.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import { jobOfKey, type OutboxEntry, outboxEntry } from "./outbox-entry.ts";

/*
 * A row of the outbox as this process knows it: an entry, and how far its delivery has come. What is read from the database is
 * checked, for another version may have written it.
 *
 *   recorded ──► uploaded ──► reported ──► (removed)
 *
 * An entry without files begins where they are stored. That it is reported is written down at once where its source may refuse the
 * result, else with what fails after it. Neither is taken back, and only until it is reported the entry may become a failure's.
 */
export interface OutboxRow {
  readonly id: number;
  /** Becomes another end where the recorded one cannot be delivered. */
  entry: OutboxEntry;
  /** The files are stored: becomes true when they are. */
  uploaded: boolean;
  /** The callback was taken, or given up: becomes true when it is. */
  reported: boolean;
  /** How often the step that is next has failed. */
  readonly tries: number;
  readonly createdAtMs: number;
}

/** What is to be done with it next. */
export function stepOf({ uploaded, entry }: Pick<OutboxRow, "uploaded" | "entry">): DeliveryNote["step"] {
  if (entry.forWebhook) return "webhook";
  return !uploaded && entry.files.length > 0 ? "files" : "report";
}

/** What log lines about a row carry. */
export function fieldsOf({ entry: { lease, callback } }: Pick<OutboxRow, "entry">) {
  return { job_id: lease.jobId, attempt: lease.attempt, ...traceFields(callback.metadata) };
}

/** A row as people look at it. */
export interface ListedRow extends OutboxRow {
  readonly nextTryAtMs: number;
  /** Why the last try failed, or that of the one that it waits for; null when none has. */
  readonly error: ErrorReport | null;
}

const rowFields = {
  id: z.number(),
  uploaded: flagColumn,
  reported: flagColumn,
  tries: z.number(),
  created_at_ms: z.number(),
};

const readRow = z.object({ ...rowFields, entry: jsonColumn(outboxEntry) }).transform(
  (row): OutboxRow => ({
    id: row.id,
    entry: row.entry,
    uploaded: row.uploaded,
    reported: row.reported,
    tries: row.tries,
    createdAtMs: row.created_at_ms,
  }),
);

/** Null for a row that cannot be read. */
export const storedRow = z.unknown().transform((row) => readRow.safeParse(row).data ?? null);

/**
 * A row that this version cannot read: a newer one has written it, or it is damaged. It stays as it is and stops nothing. Its lease
 * is not kept: when that runs out, the job is done again by who can deliver it.
 */
export interface UnreadableRow {
  readonly id: number;
  /** Null where the row does not even say that. */
  readonly jobId: string | null;
  readonly createdAtMs: number;
}

const anyLease = jsonColumn(z.looseObject({ lease: z.looseObject({ jobId: safeId }) }));
const unread = z.object({ id: z.number(), token: z.string(), entry: z.string(), created_at_ms: z.number() }).transform(
  ({ id, token, entry, created_at_ms: createdAtMs }): UnreadableRow => ({
    id,
    jobId: anyLease.safeParse(entry).data?.lease.jobId ?? jobOfKey(token),
    createdAtMs,
  }),
);
/** Null for a row that can be read. */
export const unreadableRow = z
  .unknown()
  .transform((row) => (readRow.safeParse(row).success ? null : unread.parse(row)));

/** By which people name a row whose job is not known. */
export function rowName(id: number): string {
  return `row-${id}`;
}

/** Null for what is no such name. */
export function rowOfName(name: string): number | null {
  const digits = /^row-(\d{1,15})$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

const listedFields = { next_try_at_ms: z.number(), error: jsonColumn(errorReport).nullable().catch(null) };
const readListed = z.object({ ...rowFields, ...listedFields, entry: jsonColumn(outboxEntry) }).transform(
  ({ created_at_ms: createdAtMs, next_try_at_ms: nextTryAtMs, ...row }): ListedRow => ({
    ...row,
    createdAtMs,
    nextTryAtMs,
  }),
);
export const listedRow = z.unknown().transform((row) => readListed.safeParse(row).data ?? null);

/** A row that was just written is not read again: it holds what was written, unless its lease was recorded before. */
export const writtenRow = z.object({ ...rowFields, isOwn: flagColumn });
