import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it, onTestFinished } from "vitest";
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
