import { beforeEach, expect, test } from "vitest";
import { enqueue, failure, takeOne } from "#test/conformance/sources/harness.ts";
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
  await expect.poll(() => redis().exists("ourvidz:job:a"), { timeout: 5000 }).toBe(0);
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
