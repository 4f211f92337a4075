import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { enqueue, failure, makeJob, result, takeOne, worker } from "#test/conformance/sources/harness.ts";
import { allCapabilities, describeJobSource } from "#test/conformance/sources/index.ts";
import { SqliteSource } from "./sqlite-source.ts";
import { openHarness, type SqliteHarness } from "./testing/sqlite-harness.ts";

describeJobSource("sqlite", () => openHarness(), {
  ...allCapabilities,
  dependencies: false,
  logs: false,
});

describe("prune", () => {
  let harness: SqliteHarness;
  beforeEach(async () => {
    harness = await openHarness({ durable: false });
  });
  afterEach(() => harness.close());

  const rowsOf = (table: "jobs" | "attempts" | "idempotency_keys") =>
    harness.database.query(`SELECT count(*) AS count FROM ${table}`, z.object({ count: z.number() })).get()?.count;

  test("deletes what was settled long ago, whole, and nothing else", async () => {
    const { source, queue } = harness;
    await enqueue(harness, "completed", {}, { idempotencyKey: "order-1" });
    await source.complete(await takeOne(harness), result);
    await enqueue(harness, "failed");
    await source.fail(await takeOne(harness), failure);
    await harness.advance(60_000);
    await enqueue(harness, "recent");
    await source.complete(await takeOne(harness), result);
    await enqueue(harness, "running");
    await takeOne(harness);
    await enqueue(harness, "queued");

    expect(await source.prune(60_000)).toBe(0);
    await harness.advance(1);
    expect(await source.prune(60_000)).toBe(2);
    const left = (await queue.list({ limit: 9 })).jobs.map(({ job }) => job.id);
    expect(left).toEqual(["queued", "running", "recent"]);
    expect(rowsOf("attempts")).toBe(2);
    expect(rowsOf("idempotency_keys")).toBe(0);
  });

  test("goes through any number of jobs, and frees their ids", async () => {
    const ids = Array.from({ length: 1100 }, (_, index) => `job-${index}`);
    for (const id of ids) {
      await enqueue(harness, id);
      await harness.queue.cancel(id);
    }
    await harness.advance(1000);
    expect(await harness.source.prune(0)).toBe(1100);
    expect(rowsOf("jobs")).toBe(0);
    expect(await enqueue(harness, "job-0", { prompt: "another body" })).toMatchObject({ created: true });
  });
});

test("closing the source leaves the database to whoever opened it", async () => {
  const harness = await openHarness();
  await enqueue(harness, "a");
  const lease = await takeOne(harness);
  await harness.source.close();
  expect(await harness.source.complete(lease, result)).toBe("completed");
  await harness.close();
});

test("a job that was stored under older rules is given out, not a reason to fail", async () => {
  const harness = await openHarness();
  await enqueue(harness, "a");
  harness.database.command("UPDATE jobs SET body = json_set(body, '$.priority', 1000, '$.user_id', 'an old id')").run();
  expect((await takeOne(harness)).job).toMatchObject({ id: "a", priority: 1000, user_id: "an old id" });
  expect((await harness.queue.list({ limit: 1 })).jobs).toHaveLength(1);
  await harness.close();
});

test("a job that was stored with an error code of a newer program can be read", async () => {
  const harness = await openHarness();
  await enqueue(harness, "a");
  await harness.source.fail(await takeOne(harness), failure);
  harness.database.command(`UPDATE jobs SET error = '{"code":"FROM_THE_FUTURE","message":"new"}'`).run();
  expect((await harness.queue.get("a"))?.error).toEqual({ code: "INTERNAL", message: "new" });
  await harness.close();
});

test("more jobs than one take changes expire, and none of them is taken meanwhile", async () => {
  const harness = await openHarness({ durable: false });
  for (let index = 0; index < 700; index += 1) {
    await enqueue(harness, `job-${index}`, { config: { expires_in_seconds: 1 } });
  }
  await enqueue(harness, "patient");
  await harness.advance(1001);
  const ends = new Set<string>();
  const leases: string[] = [];
  for (let takes = 0; takes < 10; takes += 1) {
    const taken = await harness.source.take([{ worker: "sdxl", slots: 1 }]);
    await harness.source.reported(taken.ends);
    for (const { jobId } of taken.ends) ends.add(jobId);
    leases.push(...taken.leases.map(({ jobId }) => jobId));
  }
  expect(ends.size).toBe(700);
  expect(leases).toEqual(["patient"]);
  await harness.close();
});

test("a container that can run nothing of what waits is not woken by it", async () => {
  const harness = await openHarness({ durable: false });
  const other = await harness.second();
  const offer = { types: ["sdxl_image_high"], defaultModelTypes: ["sdxl_image_high"], models: [] };
  await harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
  const woken = harness.source.waitForChange(10_000, new AbortController().signal, "jobs").then(() => "woken");
  await enqueue(other, "foreign");
  const pause = new Promise((resolve) => setTimeout(() => resolve("still waiting"), 300));
  expect(await Promise.race([woken, pause])).toBe("still waiting");
  await enqueue(other, "own", { type: "sdxl_image_high" });
  expect(await woken).toBe("woken");
  await harness.close();
});

test("a clock that jumps does not cost a live container its lease, and costs a dead one's no more than a lease time", async () => {
  const harness = await openHarness();
  const clock = { wallMs: 1_000_000_000, steadyMs: 0 };
  const options = { leaseSeconds: 30, nowMs: () => clock.wallMs, steadyMs: () => clock.steadyMs };
  const source = new SqliteSource(harness.database, { ...options, workerId: "laptop" });
  const pass = (steadyMs: number, wallMs = steadyMs) => {
    clock.steadyMs += steadyMs;
    clock.wallMs += wallMs;
  };
  const request = [{ worker, slots: 1 }];
  await source.enqueue(makeJob("alive"), { worker });
  await source.enqueue(makeJob("dead"), { worker });
  const [alive] = (await source.take(request)).leases;
  const [dead] = (await source.take(request)).leases;
  if (alive === undefined || dead === undefined) throw new Error("there were two jobs");
  pass(1000, 3_600_000);
  expect((await source.take(request)).leases).toEqual([]);
  expect(await source.renew([{ lease: alive }])).toEqual(["held"]);
  pass(29_000);
  await source.renew([{ lease: alive }]);
  pass(1001);
  expect((await source.take(request)).leases).toMatchObject([{ jobId: "dead", attempt: 2 }]);
  expect(await source.renew([{ lease: alive }])).toEqual(["held"]);
  await source.close();
  await harness.close();
});
