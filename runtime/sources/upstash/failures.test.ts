import { beforeEach, expect, test } from "vitest";
import { enqueue, failure, take, takeOne } from "#test/conformance/sources/harness.ts";
import { type JobFilter, otherTypes } from "../job-source.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* Groups of failed jobs in Redis: what brings them in order again, and what large jobs cost. */

const shared = useGateway();
let harness: UpstashHarness;
beforeEach(async () => {
  harness = await openHarness(shared.gateway);
  return () => harness.close();
});

const redis = () => shared.gateway.client({ automaticDeserialization: false });

async function fail(id: string, fields: object = {}): Promise<void> {
  await enqueue(harness, id, { ...fields });
  await harness.source.fail(await takeOne(harness), failure);
}

/** As a container that knows of no groups has failed it. */
async function forgetGroups(...ids: string[]): Promise<void> {
  for (const id of ids) {
    const record = String(await redis().get(`ourvidz:job:${id}`));
    expect(record).toContain('"group"');
    await redis().set(`ourvidz:job:${id}`, record.replace(/"group":"[^"]*",?/, ""), { keepTtl: true });
  }
  await redis().del("ourvidz:failures", ...(await redis().keys("ourvidz:failed:*")));
}

test("jobs that a container of an earlier version has failed are put into their groups, once a day", async () => {
  await fail("a");
  await fail("b");
  await forgetGroups("a", "b");
  expect(await harness.queue.failureGroups()).toEqual([]);
  await harness.source.prune();
  const group = { code: failure.code, type: "sdxl_image_fast", jobs: 2, newest: { jobId: "b" } };
  expect(await harness.queue.failureGroups()).toMatchObject([group]);
  expect(await redis().ttl("ourvidz:job:a")).toBeGreaterThan(0);
  await forgetGroups("a", "b");
  await harness.source.prune();
  expect(await harness.queue.failureGroups()).toEqual([]);
  await redis().del("ourvidz:failures-filed");
  await harness.source.prune();
  expect(await harness.queue.failureGroups()).toMatchObject([group]);
  expect(await harness.queue.discard(["a", "b"])).toEqual(["discarded", "discarded"]);
  expect(await redis().keys("ourvidz:failed*")).toEqual([]);
});

test("jobs whose records are gone leave their groups", async () => {
  const short = await harness.second({ keepSettledDays: 1 / 86_400 });
  await enqueue(harness, "a");
  await short.source.fail(await takeOne(short), failure);
  expect(await short.queue.failureGroups()).toMatchObject([{ jobs: 1 }]);
  await expect.poll(() => redis().exists("ourvidz:job:a")).toBe(0);
  await harness.advance(1000);
  await short.source.prune();
  expect(await short.queue.failureGroups()).toEqual([]);
});

test("a page of large jobs ends early, and the next one goes on there", async () => {
  const ids = Array.from({ length: 30 }, (_, n) => `large-${n}`);
  for (const id of ids) await fail(id, { metadata: { notes: "x".repeat(400_000) } });
  const first = await harness.queue.match({ statuses: ["failed"] }, { limit: 200 });
  expect(first.jobs.length).toBeLessThan(ids.length);
  const found = first.jobs.map(({ jobId }) => jobId);
  for (let cursor = first.cursor; cursor !== null; ) {
    const page = await harness.queue.match({ statuses: ["failed"] }, { limit: 200, cursor });
    found.push(...page.jobs.map(({ jobId }) => jobId));
    cursor = page.cursor;
  }
  expect(found.toSorted()).toEqual(ids.toSorted());
  expect(await harness.queue.discard(ids)).toEqual(ids.map(() => "discarded"));
});

/** Pushes a job of each type, as any producer can, and fails them all. */
async function failPushed(types: readonly string[]): Promise<void> {
  const elements = types.map((type, place) => JSON.stringify({ id: `pushed-${place}`, type }));
  await redis().lpush("sdxl_queue", ...elements);
  const leases = await take(harness, types.length);
  for (const lease of leases) expect(await harness.source.fail(lease, failure)).toBe("failed");
}

async function matchedIds(filter: Omit<JobFilter, "statuses">): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | undefined, isThrough = false; !isThrough; ) {
    const page = await harness.queue.match({ statuses: ["failed"], ...filter }, { limit: 50, cursor });
    ids.push(...page.jobs.map(({ jobId }) => jobId));
    cursor = page.cursor ?? undefined;
    isThrough = page.cursor === null;
  }
  return ids;
}

test("200 types have groups of their own, the others are one; every job is counted once and found by its type", async () => {
  const types = Array.from({ length: 230 }, (_, place) => `type_${place}`);
  await failPushed(types);
  const groups = await harness.queue.failureGroups();
  expect(groups).toHaveLength(201);
  expect(groups.reduce((sum, { jobs }) => sum + jobs, 0)).toBe(types.length);
  const others = groups.find(({ type }) => type === otherTypes);
  expect(others).toMatchObject({ code: failure.code, jobs: 30 });
  const own = new Set(groups.map(({ type }) => type));
  const inOthers = types.filter((type) => !own.has(type));
  expect(inOthers).toHaveLength(30);
  for (const type of [types[0], inOthers[0], inOthers[29]]) {
    const [id, ...more] = await matchedIds({ type, code: failure.code });
    expect(more).toEqual([]);
    expect(await harness.queue.get(id ?? "")).toMatchObject({ job: { type } });
  }
  const ids = await matchedIds({ type: otherTypes });
  expect(ids).toHaveLength(30);
  expect(new Set(await matchedIds({})).size).toBe(types.length);
  expect(await harness.queue.discard(ids)).toEqual(ids.map(() => "discarded"));
  expect((await harness.queue.failureGroups()).map(({ jobs }) => jobs)).toEqual(Array(200).fill(1));
  // A group that is empty makes room for another.
  await harness.queue.discard(await matchedIds({ type: types[0] }));
  await fail("late", { type: "late_type" });
  await fail("later", { type: "later_type" });
  const [later, late] = await harness.queue.failureGroups();
  expect([later?.type, late?.type].toSorted()).toEqual([otherTypes, "late_type"]);
});

test("what is no type's name is found as it is grouped, however long", async () => {
  const long = "x".repeat(65);
  const names = [long, `${long}y`, "Ein Bär".repeat(40), "SDXL-Image", "with:colons:in:it"];
  await failPushed([...names, "sdxl_image_fast"]);
  const groups = await harness.queue.failureGroups();
  expect(Object.fromEntries(groups.map(({ type, jobs }) => [type, jobs]))).toEqual({
    [otherTypes]: 5,
    sdxl_image_fast: 1,
  });
  for (const [place, type] of names.entries()) expect(await matchedIds({ type })).toEqual([`pushed-${place}`]);
  expect((await matchedIds({ type: otherTypes, code: failure.code })).toSorted()).toEqual(
    names.map((_, place) => `pushed-${place}`),
  );
  expect(await matchedIds({ type: "x".repeat(64) })).toEqual([]);
});
