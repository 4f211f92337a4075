import { beforeEach, describe, expect, test } from "vitest";
import { failure, makeJob, result, take, takenIds, takeOne } from "#test/conformance/sources/harness.ts";
import type { Offer } from "../job-source.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* A database that a version without offers, ends and runs has filled: its jobs go on, in their order. */

const shared = useGateway();
let harness: UpstashHarness;

beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  return () => harness.close();
});

/** That version's entries of ready queues did not name the type: `<arrival>:<id>:<user>:<score>:<model>`. */
const toFormer = `
  for _, key in ipairs(redis.call('KEYS', 'ourvidz:ready:*')) do
    local entries = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for place = 1, #entries, 2 do
      local former = string.match(entries[place], '^(%d+:[^:]+:[^:]+:%d+:[^:]*):[^:]*$')
      redis.call('ZREM', key, entries[place])
      redis.call('ZADD', key, entries[place + 1], former)
    end
  end`;

async function enqueueFormer(ids: readonly string[], fields: (id: string) => object = () => ({})): Promise<void> {
  for (const id of ids) await harness.queue.enqueue(makeJob(id, { ...fields(id) }), { worker: "sdxl" });
  await shared.gateway.client().eval(toFormer, [], []);
  const members: string[] = await shared.gateway.client().zrange("ourvidz:ready:sdxl", 0, -1);
  expect(members.map((member) => member.split(":").length)).toEqual(members.map(() => 5));
}

const offer: Offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: ["lake-xl"] };
async function takenInside(slots: number): Promise<string[]> {
  const { leases } = await harness.source.take([{ worker: "sdxl", slots, offer }]);
  return leases.map(({ jobId }) => jobId);
}
const readyMembers = (): Promise<string[]> => shared.gateway.client().zrange("ourvidz:ready:sdxl", 0, -1);

describe("jobs that waited before the upgrade", () => {
  test("are taken in their order, among new ones, without an offer and inside one", async () => {
    await enqueueFormer(["a", "b", "c"]);
    await harness.queue.enqueue(makeJob("d"), { worker: "sdxl" });
    expect(await takenIds(harness, 1)).toEqual(["a"]);
    expect(await takenInside(1)).toEqual(["b"]);
    expect(await takenInside(5)).toEqual(["c", "d"]);
    expect(await takenIds(harness, 5)).toEqual([]);
  });

  test("are left to others when they are outside of the offer", async () => {
    await enqueueFormer(["high", "hill", "lake", "plain"], (id) => ({
      ...(id === "high" ? { type: "sdxl_image_high" } : {}),
      ...(id === "hill" || id === "lake" ? { model_variant: `${id}-xl` } : {}),
    }));
    expect(await takenInside(5)).toEqual(["lake", "plain"]);
    expect(await takenIds(await harness.second(), 5)).toEqual(["high", "hill"]);
  });

  test("can be cancelled, and keep nothing on the queue", async () => {
    await enqueueFormer(["a", "b"]);
    expect(await harness.queue.cancel("a")).toBe("cancelled");
    expect(await readyMembers()).toHaveLength(1);
    const { leases, ends } = await harness.source.take([{ worker: "sdxl", slots: 5, offer }]);
    expect(leases.map(({ jobId }) => jobId)).toEqual(["b"]);
    expect(ends.map(({ jobId }) => jobId)).toEqual(["a"]);
  });

  test("have their position, and count", async () => {
    await enqueueFormer(["a", "b"]);
    expect(await harness.queue.enqueue(makeJob("b"), { worker: "sdxl" })).toMatchObject({
      created: false,
      position: 2,
    });
    expect(await harness.queue.stats()).toMatchObject([{ queued: 2, unoffered: [] }]);
    await takeOne(harness);
    // What was taken off and put back names its type.
    expect(await harness.queue.stats()).toMatchObject([
      { queued: 1, unoffered: [{ type: "sdxl_image_fast", jobs: 1 }] },
    ]);
  });
});

test("leases, delays, failed jobs and cancels of that version go on", async () => {
  for (const id of ["runs", "fails", "cancelled"]) await harness.queue.enqueue(makeJob(id), { worker: "sdxl" });
  const [runs, fails] = await take(harness, 3);
  if (runs === undefined || fails === undefined) throw new Error("the jobs were due");
  await harness.source.fail(fails, failure);
  await harness.queue.cancel("cancelled");
  await harness.queue.enqueue(makeJob("delayed"), { worker: "sdxl", delaySeconds: 60 });
  // Its records knew no runs.
  const record = String(await shared.gateway.client().get("ourvidz:job:fails"));
  expect(record.slice(0, record.indexOf("\n"))).not.toContain('"run"');

  expect(await harness.source.complete(runs, result)).toBe("completed");
  await harness.queue.redrive("fails");
  expect(await takeOne(harness)).toMatchObject({ jobId: "fails", run: 2 });
  await harness.hasten(60_001);
  const { leases, ends } = await harness.source.take([{ worker: "sdxl", slots: 5, offer }]);
  expect(leases.map(({ jobId, run }) => [jobId, run])).toEqual(
    [
      ["fails", 2],
      ["delayed", 1],
    ].slice(leases.length - 2),
  );
  expect(ends.map(({ jobId }) => jobId)).toEqual(["cancelled"]);
});
