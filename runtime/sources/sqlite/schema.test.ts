import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { sourceMigrations } from "./schema.ts";
import { SqliteSource } from "./sqlite-source.ts";

test("a file of version 1 is brought on with its jobs, and old ends are not reported", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-schema-"));
  const old = await openDatabase(databaseFile(folder), sourceMigrations.slice(0, 1));
  const insert = old.command(`
    INSERT INTO jobs (id, worker, type, user_id, priority, body, due, created_at_ms, available_at_ms, status, settled_at_ms)
    VALUES (:id, 'sdxl', 'sdxl_image_fast', 'ann', 0, :body, 1, 1, 1, :status, :settled_at_ms)`);
  for (const status of ["queued", "failed", "cancelled"]) {
    const job = { id: status, type: "sdxl_image_fast", user_id: "ann", priority: 0, metadata: {} };
    // What had no meaning then: the old job is not to expire by it.
    const body = JSON.stringify({ ...job, config: { expires_in_seconds: "soon" } });
    await old.write(() => insert.run({ id: status, body, status, settled_at_ms: status === "queued" ? null : 2 }));
  }
  old.close();

  const database = await openDatabase(databaseFile(folder), sourceMigrations);
  const source = new SqliteSource(database, { workerId: "container-1" });
  const group = { worker: "sdxl", code: "INTERNAL", type: "sdxl_image_fast", jobs: 1, permanent: 0, lastAtMs: 2 };
  expect(await source.failureGroups()).toEqual([{ ...group, newest: { jobId: "failed", message: "" } }]);
  await source.redrive("failed");
  expect(await source.failureGroups()).toEqual([]);
  const { leases, ends } = await source.take([{ worker: "sdxl", slots: 5 }]);
  expect(ends).toEqual([]);
  expect(leases.map(({ jobId, run, attempt }) => [jobId, run, attempt])).toEqual([
    ["queued", 1, 1],
    ["failed", 2, 1],
  ]);
  expect(await source.get("cancelled")).toMatchObject({ status: "cancelled", waitingFor: null });
  database.close();
  rmSync(folder, { recursive: true });
});
