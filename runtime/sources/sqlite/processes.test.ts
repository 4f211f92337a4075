import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { sourceMigrations } from "./schema.ts";
import { SqliteSource } from "./sqlite-source.ts";

const script = fileURLToPath(new URL("testing/container.ts", import.meta.url));
const reportSchema = z.tuple([z.enum(["enqueued", "completed"]), z.string()]);

let folder: string;
let children: ChildProcess[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ourvidz-processes-"));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

/** Starts a container process and collects what it reports. */
function startContainer(workerId: string, jobs: number) {
  const child = fork(script, [folder, workerId, String(jobs)], { execArgv: [] });
  children.push(child);
  const reports = { enqueued: [] as string[], completed: [] as string[] };
  child.on("message", (message) => {
    const [what, jobId] = reportSchema.parse(message);
    reports[what].push(jobId);
  });
  const reportsReach = async (reportCount: number) => {
    while (reports.enqueued.length + reports.completed.length < reportCount) await once(child, "message");
  };
  return { child, reports, reportsReach, ended: once(child, "exit") };
}

async function withDatabase<Result>(action: (database: Database) => Promise<Result>): Promise<Result> {
  const database = await openDatabase(databaseFile(folder), sourceMigrations);
  try {
    return await action(database);
  } finally {
    database.close();
  }
}

function checkFile(database: Database): void {
  const pragma = (name: string) => database.query(`PRAGMA ${name}`, z.record(z.string(), z.unknown())).all();
  expect(pragma("integrity_check")).toEqual([{ integrity_check: "ok" }]);
  expect(pragma("foreign_key_check")).toEqual([]);
}

describe("several processes on one file", () => {
  test("take each job exactly once", { timeout: 120_000 }, async () => {
    const containers = ["one", "two"].map((workerId) => startContainer(workerId, 200));
    for (const { ended } of containers) expect(await ended).toEqual([0, null]);
    const completed = containers.flatMap(({ reports }) => reports.completed);
    expect(completed).toHaveLength(400);
    expect(new Set(completed).size).toBe(400);

    await withDatabase(async (database) => {
      const source = new SqliteSource(database, { workerId: "judge" });
      const { jobs } = await source.list({ limit: 1000 });
      expect(jobs).toHaveLength(400);
      for (const job of jobs) {
        expect(job).toMatchObject({ status: "completed", attempt: 1, attempts: [{ outcome: "completed" }] });
      }
      const workers = new Set(jobs.map((job) => job.attempts[0]?.workerId));
      expect(workers).toEqual(new Set(["one", "two"]));
      checkFile(database);
    });
  });

  test("that are killed at any moment lose nothing that they have reported", { timeout: 120_000 }, async () => {
    const enqueued: string[] = [];
    const completed: string[] = [];
    for (let round = 0; round < 6; round += 1) {
      const { child, reports, reportsReach, ended } = startContainer(`killed-${round}`, 40);
      // Of the 80 reports that it would make alone; from the middle on it is completing jobs.
      await reportsReach(1 + round * 14);
      child.kill("SIGKILL");
      expect(await ended).toEqual([null, "SIGKILL"]);
      enqueued.push(...reports.enqueued);
      completed.push(...reports.completed);
      await withDatabase(async (database) => checkFile(database));
    }
    expect(completed.length).toBeGreaterThan(0);

    await withDatabase(async (database) => {
      const afterLeasesMs = Date.now() + 60_000;
      const source = new SqliteSource(database, { workerId: "heir", nowMs: () => afterLeasesMs });
      for (const id of completed) expect((await source.get(id))?.status).toBe("completed");
      const { leases } = await source.take([{ worker: "sdxl", slots: 1000 }]);
      for (const lease of leases) {
        expect(completed).not.toContain(lease.jobId);
        expect(await source.complete(lease, { assets: [], metadata: {} })).toBe("completed");
      }
      for (const id of enqueued) expect((await source.get(id))?.status).toBe("completed");
    });
  });
});
