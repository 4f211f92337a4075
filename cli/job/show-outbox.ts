import { stat } from "node:fs/promises";
import { CodedError } from "#contract/errors.ts";
import type { OutboxView } from "#functions/api/outbox-list.ts";
import { rowOfName } from "#runtime/delivery/outbox-row.ts";
import { exitCodes } from "../errors.ts";
import { note, printResult } from "../output.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { age } from "./view.ts";

export interface OutboxOptions extends GlobalOptions {
  readonly try?: boolean;
  /** A job's id. */
  readonly giveUp?: string;
}

/** The body of `ourvidz outbox`. */
export async function showOutbox(options: OutboxOptions): Promise<number> {
  const client = await remoteClient(options);
  if (client !== null && options.try === true) await client.tryOutbox();
  if (client !== null && options.giveUp !== undefined) await client.giveUpReport(options.giveUp);
  const outbox = client === null ? await readOutbox(options) : await client.outbox();
  printResult(options, outbox, outboxTable(outbox.rows));
  if (options.json) return exitCodes.completed;
  if (options.giveUp !== undefined) note(givenUp(options.giveUp));
  if (outbox.waiting === 0) note("Nothing waits: every result has reached its app.");
  else if (client === null && options.try === true)
    note("They are due now: a container that runs on this data folder tries them within seconds, else the next start.");
  const more = outbox.waiting - outbox.rows.length - outbox.unreadable.length;
  if (more > 0) note(`and ${more} more`);
  for (const { code, message, jobs } of outbox.alarms)
    note(`${code} (${jobs} ${jobs === 1 ? "job" : "jobs"}): ${message}`);
  for (const { row, job_id, since } of outbox.unreadable)
    note(`${row}: of ${job_id === null ? "a job that it does not name" : `job ${job_id}`}, ${since}`);
  return exitCodes.completed;
}

/** A row that cannot be read is named by itself: nobody settles its job. */
function givenUp(name: string): string {
  return rowOfName(name) === null
    ? `The end of ${name} is reported no further: whoever delivers settles the job within seconds.`
    : `${name} is given up: what it held is reported to nobody.`;
}

/** That of the data folder, whoever delivers it; with --try, its rows are due when this returns, with --give-up those of a job are given up. */
export async function readOutbox(options: OutboxOptions): Promise<OutboxView> {
  const [
    { databaseFile, openDatabase },
    { Outbox },
    { outboxMigrations },
    { alarmsIn, viewOutbox },
    { giveUpReports },
  ] = await Promise.all([
    import("#runtime/lib/database/database.ts"),
    import("#runtime/delivery/outbox.ts"),
    import("#runtime/delivery/outbox-migrations.ts"),
    import("#functions/outbox/outbox-view.ts"),
    import("#functions/outbox/give-up.ts"),
  ]);
  const { dataFolder } = await readSettings(options, { serves: false });
  const path = databaseFile(dataFolder);
  if (!(await stat(path).catch(() => null))) {
    const message = `There is no database in ${dataFolder}: name a container's data folder with --data or DATA_DIR.`;
    throw new CodedError("DATA_FOLDER_UNUSABLE", message);
  }
  const database = await openDatabase(path, outboxMigrations);
  try {
    const outbox = new Outbox(database, { owner: "command", nowMs: Date.now });
    if (options.try === true) await outbox.wakeAll();
    if (options.giveUp !== undefined) await giveUpReports(outbox, options.giveUp);
    return viewOutbox(outbox, alarmsIn(outbox, Date.now()));
  } finally {
    database.close();
  }
}

type Row = OutboxView["rows"][number];

const waitsFor = { files: "the storage", report: "the app", webhook: "its webhook" } as const;

function outboxTable(rows: readonly Row[]): string {
  const nowMs = Date.now();
  return table(rows, [
    { title: "JOB", value: ({ job_id }) => job_id },
    { title: "BECOMES", value: ({ becomes }) => becomes },
    { title: "WAITS FOR", value: ({ step }) => waitsFor[step] },
    { title: "SINCE", value: ({ since }: Row) => age(Date.parse(since), nowMs) },
    { title: "TRIES", value: ({ tries }) => String(tries) },
    { title: "NEXT", value: ({ next_try_at: next }) => (next === null ? "-" : age(nowMs, Date.parse(next))) },
    { title: "REASON", value: ({ error }) => error?.code ?? "-" },
  ]);
}
