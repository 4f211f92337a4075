import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it, onTestFinished } from "vitest";
import { backUp } from "#runtime/backup/backup.ts";
import { restore } from "#runtime/backup/restore.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { startTestRuntime } from "./support/runtime.ts";
import { startCallbackServer } from "./support/supabase/callback-server.ts";

/* What an earlier version has left in a data folder goes on under this one. */

const job = (number: number) => `00000000-0000-4000-8000-00000000000${number}`;
const finished = job(1);
const failed = job(2);
const undelivered = job(3);
const running = job(4);
const waiting = job(5);
/** In the file's times: a minute after its kill, so that its leases have run out. */
const nowOfFileMs = 1_795_930_830_000;

function earlierFolder(): string {
  const data = mkdtempSync(join(tmpdir(), "ourvidz-upgrade-"));
  onTestFinished(() => rmSync(data, { recursive: true }));
  const script = readFileSync(join(import.meta.dirname, "upgrade/earlier-data.sql"), "utf8")
    .replaceAll("{data}", data)
    .replace(/\b17959\d{8}\b/g, (moment) => String(Date.now() - nowOfFileMs + Number(moment)));
  // A dump has rows before those that they refer to.
  const database = new DatabaseSync(join(data, "ourvidz.db"), { enableForeignKeyConstraints: false });
  database.exec(script);
  database.close();
  for (const id of [finished, undelivered]) write(join(data, `files/noop/ann/${id}/0.txt`));
  write(join(data, `work/${undelivered}/1/0.txt`));
  return data;
}

function write(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "a river".padEnd(45, "."));
}

const versions = (data: string) => {
  const database = new DatabaseSync(join(data, "ourvidz.db"), { readOnly: true });
  const rows = database.prepare("select component, version from schema_versions order by component").all();
  database.close();
  return rows.map(({ component, version }) => `${component} ${version}`);
};

it("is backed up as it is, so that the earlier version goes on with it and with its archive", async () => {
  const data = earlierFolder();
  const before = versions(data);
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-upgrade-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const configOf = (path: string) => readConfig({ DATA_DIR: path }, () => "observer");
  const never = new AbortController().signal;
  await backUp(configOf(data), join(folder, "earlier.tar"), never);
  expect(versions(data)).toEqual(before);
  execFileSync("tar", ["-xf", "earlier.tar", "ourvidz.db"], { cwd: folder });
  expect(versions(folder)).toEqual(before);
  const restored = join(folder, "restored");
  await restore(configOf(restored), join(folder, "earlier.tar"), never);
  expect(versions(restored)).not.toEqual(before);
  const { source, close } = await openEmbedded(configOf(restored));
  const statuses = await Promise.all([finished, failed, running].map(async (id) => (await source.get(id))?.status));
  await close();
  expect(statuses).toEqual(["completed", "failed", "running"]);
});

it("runs what ran and what waited, delivers what nobody has taken, and redrives what failed", async () => {
  const app = await startCallbackServer();
  onTestFinished(() => app.close());
  const container = await startTestRuntime({
    ...{ DATA_DIR: earlierFolder(), CALLBACK_URL: app.url, JOB_CALLBACK_SECRET: app.secret },
  });
  onTestFinished(() => container.stop());
  await container.queue.redrive(failed);
  const ends = [
    `${undelivered}/1/completed`,
    `${running}/2/completed`,
    `${waiting}/1/completed`,
    `${failed}/run 2/1/failed`,
  ];
  for (const end of ends) await expect.poll(() => app.known.has(end)).toBe(true);
  expect([...app.known.keys()].filter((key) => /completed|failed/.test(key)).toSorted()).toEqual(ends.toSorted());
  expect(app.known.get(`${undelivered}/1/completed`)?.assets).toHaveLength(1);
  expect(await container.queue.get(finished)).toMatchObject({ status: "completed" });
});
