import { beforeEach, expect, test } from "vitest";
import { enqueue, failure, makeJob, result, take, takeEnds, takeOne } from "#test/conformance/sources/harness.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* Elements that say which run they begin: their producer counts the runs and has redriven the job. */

const shared = useGateway();
let harness: UpstashHarness;
beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  return () => harness.close();
});

const push = (id: string, fields: object = {}) =>
  shared.gateway.client().lpush("sdxl_queue", JSON.stringify({ id, type: "sdxl_image_fast", ...fields }));
const redis = () => shared.gateway.client({ automaticDeserialization: false });

test("a job that is not known is filed as the run that its element begins", async () => {
  await push("a", { run: 3 });
  const lease = await takeOne(harness);
  expect(lease).toMatchObject({ jobId: "a", run: 3, attempt: 1 });
  await harness.source.fail(lease, failure);
  await harness.queue.redrive("a");
  expect(await takeOne(harness)).toMatchObject({ jobId: "a", run: 4, attempt: 1 });
});

test.each([0, 1, -2, 1.5, 1e9, "2", null, {}])("%j is no run: the job is at its first", async (run) => {
  await push("a", { run });
  expect(await takeOne(harness)).toMatchObject({ jobId: "a", run: 1 });
});

test("a job that failed in an earlier run is run again, once, with its attempts forgotten", async () => {
  await push("a", { prompt: "a lake" });
  const first = await takeOne(harness);
  await harness.source.fail(first, failure);
  expect(await harness.queue.failureGroups()).toMatchObject([{ jobs: 1 }]);
  for (const _ of ["pushed", "pushed again"]) await push("a", { prompt: "a lake", run: 2, created_at: "2026-11-28" });
  const leases = await take(harness, 5);
  expect(leases).toMatchObject([{ jobId: "a", run: 2, attempt: 1 }]);
  expect(harness.source.repeated).toBe(1);
  expect(await harness.queue.failureGroups()).toEqual([]);
  expect(await harness.queue.stats()).toMatchObject([{ running: 1, failed: 0, queued: 0 }]);
  expect(await redis().ttl("ourvidz:job:a")).toBe(-1);
  expect(await harness.source.complete(first, result)).toBe("lost");
  const record = await harness.queue.get("a");
  expect(record).toMatchObject({ status: "running", attempt: 1, error: null, settledAtMs: null });
  expect(record?.attempts).toHaveLength(1);
  const [lease] = leases;
  if (lease === undefined) throw new Error("the job was leased");
  expect(await harness.source.complete(lease, result)).toBe("completed");
});

test("a run that is known, or over, is not begun again", async () => {
  await push("a");
  await harness.source.fail(await takeOne(harness), failure);
  await harness.queue.redrive("a");
  // Redriven here and by its producer: one run.
  await push("a", { run: 2 });
  const lease = await takeOne(harness);
  expect(lease).toMatchObject({ run: 2 });
  expect(await take(harness, 5)).toEqual([]);
  await push("a", { run: 3 });
  expect(await take(harness, 5)).toEqual([]);
  await harness.source.complete(lease, result);
  await push("a", { run: 3 });
  expect(await take(harness, 5)).toEqual([]);
  expect(harness.source.repeated).toBe(3);
  expect(await harness.queue.get("a")).toMatchObject({ status: "completed" });
});

test("another body is another job, whatever its run", async () => {
  await push("a", { prompt: "a lake" });
  await harness.source.fail(await takeOne(harness), failure);
  await push("a", { prompt: "a hill", run: 2 });
  expect(await take(harness, 5)).toEqual([]);
  expect(await harness.queue.deadLetters(5)).toMatchObject([{ reason: expect.stringContaining("another body") }]);
});

test("the end of the run before, which nobody has reported, goes with the next one", async () => {
  await push("a", { config: { expires_in_seconds: 1 } });
  const nobody = { types: [], defaultModelTypes: [], models: [] };
  await harness.source.take([{ worker: "sdxl", slots: 1, offer: nobody }]);
  await harness.advance(1100);
  // The end is left to a take that answers some.
  await harness.queue.cancel("nobody").catch(() => undefined);
  expect(await harness.queue.get("a")).toMatchObject({ status: "failed", error: { code: "EXPIRED" } });
  await push("a", { config: { expires_in_seconds: 1 }, run: 2 });
  const { leases, ends } = await harness.source.take([{ worker: "sdxl", slots: 5 }]);
  expect(ends).toEqual([]);
  expect(leases).toMatchObject([{ jobId: "a", run: 2 }]);
  expect(await takeEnds(await harness.second())).toEqual([]);
  expect(await harness.queue.get("a")).toMatchObject({ status: "running" });
});

test("a job that its source had forgotten goes on in its run", async () => {
  await harness.queue.enqueue(makeJob("a"), { worker: "sdxl", run: 4 });
  expect(await takeOne(harness)).toMatchObject({ jobId: "a", run: 4, attempt: 1 });
  await enqueue(harness, "b");
  expect(await takeOne(harness)).toMatchObject({ jobId: "b", run: 1 });
});
