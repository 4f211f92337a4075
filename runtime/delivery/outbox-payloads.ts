import { z } from "zod";
import type { Database } from "#runtime/lib/database/database.ts";
import { jsonColumn } from "#runtime/lib/database/statements.ts";
import { type WebhookPayload, webhookPayload } from "./webhooks/endpoint-webhook.ts";

/*
 * What the webhooks of endpoints are sent, up to 40 MB for each: apart from the outbox's rows, which are read and changed often.
 * It is read when it is sent, handed on from a job's row to that of its webhook without being copied, and removed with the last row
 * that has it. Everything here is done within the transaction of whoever calls it.
 */
export class OutboxPayloads {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(database: Database) {
    this.#statements = prepare(database);
  }

  set(rowId: number, payload: WebhookPayload): void {
    this.#statements.set.run({ id: rowId, payload: JSON.stringify(payload) });
    this.handOn(rowId, rowId);
  }

  handOn(payloadId: number, rowId: number): void {
    this.#statements.give.run({ id: rowId, payload: payloadId });
  }

  /** Unless a row has it. */
  remove(payloadId: number): void {
    this.#statements.remove.run({ payload: payloadId });
  }

  /** @throws when the row is gone, or nothing is sent with it */
  read(rowId: number): WebhookPayload {
    const payload = this.#statements.read.get({ id: rowId })?.payload ?? this.unsplit(rowId);
    if (payload === undefined) throw new Error(`The outbox has nothing to send with its row ${rowId}.`);
    return payload;
  }

  /** What an earlier version has kept in the entry itself, and SQLite could not take out of it: it is nested too deep. */
  unsplit(rowId: number): WebhookPayload | undefined {
    return this.#statements.unsplit.get({ id: rowId })?.entry;
  }
}

const unsplitEntry = z.object({ endpoint: webhookPayload }).transform(({ endpoint }) => endpoint);

function prepare(database: Database) {
  return {
    set: database.command("INSERT OR REPLACE INTO outbox_payloads (id, payload) VALUES (:id, :payload)"),
    give: database.command("UPDATE outbox SET payload = :payload WHERE id = :id"),
    remove: database.command(
      "DELETE FROM outbox_payloads WHERE id = :payload AND NOT EXISTS (SELECT 1 FROM outbox WHERE payload = :payload)",
    ),
    read: database.query(
      `SELECT outbox_payloads.payload FROM outbox JOIN outbox_payloads ON outbox_payloads.id = outbox.payload
       WHERE outbox.id = :id`,
      z.object({ payload: jsonColumn(webhookPayload) }),
    ),
    unsplit: database.query(
      "SELECT entry FROM outbox_entries WHERE id = :id",
      z.object({ entry: jsonColumn(unsplitEntry).optional().catch(undefined) }),
    ),
  };
}
