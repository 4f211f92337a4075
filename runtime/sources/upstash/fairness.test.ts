import { beforeEach, describe, expect, test } from "vitest";
import type { Job } from "#contract/job.ts";
import { failure, makeJob, take, takeOne } from "#test/conformance/sources/harness.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* Whose job goes next. */

const shared = useGateway();
let harness: UpstashHarness;

beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  return () => harness.close();
});

async function pushAll(jobs: readonly Job[]): Promise<void> {
  await shared.gateway.client().lpush("sdxl_queue", ...jobs.map((job) => JSON.stringify(job)));
}

async function enqueueAll(jobs: readonly Job[]): Promise<void> {
  for (const job of jobs) await harness.queue.enqueue(job, { worker: "sdxl" });
}

const jobsOf = (user: string, count: number, fields: object = {}) =>
  Array.from({ length: count }, (_, place) => makeJob(`${user}-${place}`, { user_id: user, ...fields }));

/** Users in the order in which their jobs are taken, one at a time. */
async function takenUsers(count: number): Promise<string[]> {
  const users: string[] = [];
  while (users.length < count) {
    const lease = await takeOne(harness);
    users.push(lease.job.user_id);
    await harness.source.complete(lease, { assets: [], metadata: {} });
  }
  return users;
}

/** 1 when all have the same share, 1/n when one has everything. */
function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0));
}

describe.each([
  ["pushed", pushAll],
  ["enqueued", enqueueAll],
] as const)("one user with 1,000 jobs and nine with 10 each, %s after them", (_how, add) => {
  test("all get the same share, and none of the nine waits for the one", { timeout: 120_000 }, async () => {
    const nine = Array.from({ length: 9 }, (_, place) => `user-${place}`);
    await add(jobsOf("many", 1000));
    await add(nine.flatMap((user) => jobsOf(user, 10)));
    const order = await takenUsers(100);

    const shares = ["many", ...nine].map((user) => order.filter((each) => each === user).length);
    const index = jainIndex(shares);
    const worstWait = Math.max(...nine.map((user) => order.lastIndexOf(user)));
    console.log(
      `Jain index ${index.toFixed(3)} (first in, first out: 0.1); last of the nine after ${worstWait} jobs (1,090)`,
    );
    expect(index).toBeGreaterThan(0.98);
    expect(worstWait).toBeLessThan(102);
  });
});

describe("turns", () => {
  test("go round among users, and a user's own jobs keep their order", async () => {
    await enqueueAll([...jobsOf("ann", 3), ...jobsOf("bob", 2), ...jobsOf("cid", 1)]);
    const ids = (await take(harness, 9)).map(({ jobId }) => jobId);
    expect(ids).toEqual(["ann-0", "bob-0", "cid-0", "ann-1", "bob-1", "ann-2"]);
  });

  test("begin anew when the queue was empty", async () => {
    await enqueueAll(jobsOf("ann", 5));
    await take(harness, 5);
    await enqueueAll([makeJob("late", { user_id: "ann" }), makeJob("later", { user_id: "bob" })]);
    expect((await take(harness, 2)).map(({ jobId }) => jobId)).toEqual(["late", "later"]);
  });

  test("of who comes new are now, not after what others have waiting", async () => {
    await enqueueAll(jobsOf("ann", 20));
    await take(harness, 10);
    await enqueueAll(jobsOf("bob", 3));
    const ids = (await take(harness, 6)).map(({ jobId }) => jobId);
    expect(ids).toEqual(["bob-0", "ann-10", "bob-1", "ann-11", "bob-2", "ann-12"]);
  });

  test("are given back by jobs that are cancelled before they were taken", async () => {
    await enqueueAll([...jobsOf("ann", 10), ...jobsOf("bob", 10)]);
    for (let place = 0; place < 10; place += 1) await harness.queue.cancel(`ann-${place}`);
    await enqueueAll([makeJob("again", { user_id: "ann" })]);
    const ids = (await take(harness, 3)).map(({ jobId }) => jobId);
    expect(ids).toContain("again");
  });

  test("do not go before priorities", async () => {
    await enqueueAll([...jobsOf("ann", 2), makeJob("urgent-1", { user_id: "ann", priority: 9 })]);
    await enqueueAll([makeJob("bob-0", { user_id: "bob" }), makeJob("urgent-2", { user_id: "ann", priority: 9 })]);
    const ids = (await take(harness, 9)).map(({ jobId }) => jobId);
    expect(ids).toEqual(["urgent-1", "urgent-2", "ann-0", "bob-0", "ann-1"]);
  });

  test("are kept by a job that comes back", async () => {
    await enqueueAll(jobsOf("ann", 4));
    const first = await takeOne(harness);
    await takeOne(harness);
    await harness.source.retry(first, { error: failure, delaySeconds: 0 });
    expect(await takeOne(harness)).toMatchObject({ jobId: "ann-0", attempt: 2 });
    await enqueueAll(jobsOf("bob", 1));
    expect((await take(harness, 2)).map(({ jobId }) => jobId)).toEqual(["bob-0", "ann-2"]);
  });
});

describe("held models", () => {
  test("are looked for among 32 turns of the user whose turn it is, no further", async () => {
    const held = { model_variant: "held" };
    await enqueueAll([...jobsOf("ann", 31), makeJob("near", { user_id: "ann", ...held })]);
    await enqueueAll([makeJob("far", { user_id: "ann", ...held })]);
    expect((await take(harness, 1, ["held"])).map(({ jobId }) => jobId)).toEqual(["near"]);
    expect((await take(harness, 1, ["held"])).map(({ jobId }) => jobId)).toEqual(["ann-0"]);
    expect((await take(harness, 1, ["held"])).map(({ jobId }) => jobId)).toEqual(["far"]);
  });

  test("are looked for among the jobs of one user, however many users there are", async () => {
    const users = Array.from({ length: 12 }, (_, place) => `user-${place}`);
    await enqueueAll(users.flatMap((user) => jobsOf(user, 5)));
    await enqueueAll([makeJob("held", { user_id: "user-0", model_variant: "held" })]);
    expect((await take(harness, 1, ["held"])).map(({ jobId }) => jobId)).toEqual(["held"]);
  });

  test.each([1, 12])("do not take a turn from another user, %i jobs at a time", async (slots) => {
    const held = { model_variant: "held" };
    await enqueueAll([...jobsOf("ann", 3), ...jobsOf("bob", 6)]);
    await enqueueAll([makeJob("ann-held-1", { user_id: "ann", ...held }), makeJob("ann-4", { user_id: "ann" })]);
    await enqueueAll([makeJob("ann-held-2", { user_id: "ann", ...held })]);
    const ids: string[] = [];
    while (ids.length < 12) ids.push(...(await take(harness, slots, ["held"])).map(({ jobId }) => jobId));
    expect(ids.filter((id) => id.startsWith("bob"))).toEqual(["bob-0", "bob-1", "bob-2", "bob-3", "bob-4", "bob-5"]);
    expect(ids.filter((id) => id.startsWith("ann"))).toEqual([
      "ann-held-1",
      "ann-held-2",
      "ann-0",
      "ann-1",
      "ann-2",
      "ann-4",
    ]);
    // One of each in every turn.
    for (let place = 0; place < ids.length; place += 2) {
      const users = ids.slice(place, place + 2).map((id) => id.slice(0, 3));
      expect(users.toSorted(), ids.join(" ")).toEqual(["ann", "bob"]);
    }
  });
});

test("a user with too many jobs waiting is refused another, others are not", async () => {
  const limited = await harness.second({ maxWaitingPerUser: 2 });
  for (const job of jobsOf("ann", 2)) await limited.queue.enqueue(job, { worker: "sdxl" });
  const third = limited.queue.enqueue(makeJob("ann-3", { user_id: "ann" }), { worker: "sdxl" });
  await expect(third).rejects.toMatchObject({ code: "TOO_MANY_JOBS" });
  await limited.queue.enqueue(makeJob("bob-1", { user_id: "bob" }), { worker: "sdxl" });
  await take(harness, 1);
  await limited.queue.enqueue(makeJob("ann-3", { user_id: "ann" }), { worker: "sdxl" });
});

test("jobs of a user that are delayed, or parked, count as waiting ones", async () => {
  const limited = await harness.second({ maxWaitingPerUser: 3 });
  const enqueue = (id: string, delaySeconds = 0, user_id = "ann", fields: object = {}) =>
    limited.queue.enqueue(makeJob(id, { user_id, ...fields }), { worker: "sdxl", delaySeconds });
  await enqueue("delayed", 60);
  await enqueue("of-bob", 60, "bob");
  await enqueue("parked", 0, "ann", { model_variant: "hill" });
  const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: [] };
  await harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
  await enqueue("due");
  await expect(enqueue("one-more", 60)).rejects.toMatchObject({ code: "TOO_MANY_JOBS" });
  await expect(enqueue("one-more")).rejects.toThrow("3 jobs waiting");
  await harness.queue.cancel("delayed");
  await enqueue("one-more");
});
