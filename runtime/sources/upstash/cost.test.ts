import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { failure, makeJob, result, take, takeOne } from "#test/conformance/sources/harness.ts";
import { offerRenewSeconds, type UnreportedEnd } from "../job-source.ts";
import { defaultIdlePoll, resolveOptions } from "./options.ts";
import { type CommandStats, readCommandStats } from "./testing/command-stats.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* What the source costs, counted by Redis, and whether it knows what it costs. */

const shared = useGateway();
const anyDatabase = { url: "https://database.test", token: "token", workerId: "container" };
const never = new AbortController().signal;
const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: ["lake"] };
let stats: CommandStats;
let harness: UpstashHarness;

beforeAll(async () => {
  stats = await readCommandStats(shared.gateway.redis.url);
});
afterAll(() => stats.close());

beforeEach(async () => {
  harness = await openHarness(shared.gateway, { idlePoll: {}, events: false });
  // The server sees each script for the first time once.
  await warmUp();
  return () => harness.close();
});

async function warmUp(): Promise<void> {
  const { source } = harness;
  await take(harness);
  const nobody = { jobId: "nobody", token: "none", attempt: 1 };
  await source.complete(nobody, result);
  await source.fail(nobody, failure);
  await source.cancelled(nobody);
  await source.retry(nobody, { error: failure, delaySeconds: 0 });
  await source.release(nobody);
}

/** Commands that `action` costs, by Redis' count; the source's own count must be the same. */
async function costOf(action: () => Promise<unknown>): Promise<number> {
  const before = harness.source.usage().commands;
  await stats.reset();
  await action();
  const counted = await stats.total();
  expect(harness.source.usage().commands - before, JSON.stringify([...(await stats.read())])).toBe(counted);
  return counted;
}

const push = (id: string, fields: object = {}) =>
  shared.gateway.client().lpush("sdxl_queue", JSON.stringify({ id, type: "sdxl_image_fast", ...fields }));

describe("one operation costs", () => {
  test("4 commands for a take that finds nothing, whatever the number of workers", async () => {
    expect(await costOf(() => take(harness))).toBe(4);
    const workers = ["sdxl", "wan", "chat", "media"].map((worker) => ({ worker, slots: 1 }));
    expect(await costOf(() => harness.source.take(workers))).toBe(4);
  });

  test("8 commands for a take of a pushed job", async () => {
    await push("a");
    expect(await costOf(() => takeOne(harness))).toBe(8);
  });

  test("9 commands for a take of an enqueued job, 11 when more are waiting", async () => {
    for (const id of ["a", "b", "c"]) await harness.queue.enqueue(makeJob(id), { worker: "sdxl" });
    expect(await costOf(() => takeOne(harness))).toBe(11);
    await takeOne(harness);
    expect(await costOf(() => takeOne(harness))).toBe(9);
  });

  test("10 commands for an enqueue, 12 with an idempotency key", async () => {
    await harness.queue.enqueue(makeJob("first"), { worker: "wan" });
    expect(await costOf(() => harness.queue.enqueue(makeJob("a"), { worker: "sdxl" }))).toBe(10);
    const options = { worker: "sdxl", idempotencyKey: "order-1" };
    expect(await costOf(() => harness.queue.enqueue(makeJob("b"), options))).toBe(12);
  });

  test("a number that does not grow with the jobs that are taken or filed", async () => {
    await Promise.all(Array.from({ length: 7 }, (_, place) => push(`few-${place}`)));
    const few = await costOf(() => take(harness, 7));
    await Promise.all(Array.from({ length: 100 }, (_, place) => push(`many-${place}`)));
    expect(await costOf(() => take(harness, 50))).toBeLessThanOrEqual(few + 7);
    expect(await costOf(() => take(harness, 50))).toBeLessThanOrEqual(10);
  });

  test("1 command for renewing all leases with their progress", async () => {
    await Promise.all(["a", "b", "c"].map((id) => push(id)));
    const leases = await take(harness, 3);
    expect(await costOf(() => harness.source.renew(leases.map((lease) => ({ lease, progress: 0.5 }))))).toBe(1);
  });

  test.each([
    ["complete", 4],
    ["fail", 7],
    ["cancelled", 4],
    ["retry", 7],
    ["release", 7],
  ] as const)("%s: %i commands", async (call, commands) => {
    await push("a");
    const lease = await takeOne(harness);
    const { source } = harness;
    const settle = {
      complete: () => source.complete(lease, result),
      fail: () => source.fail(lease, failure),
      cancelled: () => source.cancelled(lease),
      retry: () => source.retry(lease, { error: failure, delaySeconds: 0 }),
      release: () => source.release(lease),
    }[call];
    expect(await costOf(settle)).toBe(commands);
  });

  test("9 commands for the cancel of a job that waits, 5 to answer its end and 1 to report it", async () => {
    await harness.queue.cancel("nobody").catch(() => undefined);
    await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
    expect(await costOf(() => harness.queue.cancel("a"))).toBe(9);
    let ends: readonly UnreportedEnd[] = [];
    expect(await costOf(async () => ({ ends } = await harness.source.take([{ worker: "sdxl", slots: 1 }])))).toBe(9);
    expect(ends).toHaveLength(1);
    expect(await costOf(() => harness.source.reported(ends))).toBe(1);
    expect(await costOf(() => take(harness))).toBe(4);
  });

  test("2 commands for a take without a slot that finds no end, 7 for one that does, however many jobs wait", async () => {
    const takeEnds = () => harness.source.take([]);
    expect(await costOf(takeEnds)).toBe(2);
    for (const id of ["a", "b", "c"]) await harness.queue.enqueue(makeJob(id), { worker: "sdxl" });
    await push("d");
    expect(await costOf(takeEnds)).toBe(2);
    await harness.queue.cancel("a");
    expect(await costOf(takeEnds)).toBe(7);
    await takeOne(harness);
    expect(await costOf(takeEnds)).toBe(3);
  });

  test("nothing more with an offer, while nothing is parked", async () => {
    const takeInside = () => harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
    expect(await costOf(takeInside)).toBe(4);
    await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
    expect(await costOf(takeInside)).toBe(9);
    await push("b");
    expect(await costOf(takeInside)).toBe(8);
  });

  test("11 commands for parking what is outside of an offer, 5 for a take while it is parked, 13 for its own", async () => {
    for (const id of ["a", "b"])
      await harness.queue.enqueue(makeJob(id, { model_variant: "hill" }), { worker: "sdxl" });
    const takeInside = () => harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
    expect(await costOf(takeInside)).toBe(11);
    expect(await costOf(takeInside)).toBe(5);
    const able = { ...offer, models: ["hill"] };
    expect(await costOf(() => harness.source.take([{ worker: "sdxl", slots: 1, offer: able }]))).toBe(13);
  });

  test("1 command for announcing an offer", async () => {
    await take(harness);
    await push("a");
    await takeOne(harness);
    expect(await costOf(() => harness.source.announce(new Map([["sdxl", offer]])))).toBe(1);
  });

  test("6 commands for a fail in a group that there is", async () => {
    await push("a");
    await harness.source.fail(await takeOne(harness), failure);
    await push("b");
    const lease = await takeOne(harness);
    expect(await costOf(() => harness.source.fail(lease, failure))).toBe(6);
  });

  test("16 commands for discarding 50 jobs, and 3 for a group of failures that goes with them", async () => {
    const ids = Array.from({ length: 50 }, (_, place) => `job-${place}`);
    await Promise.all(ids.map((id) => push(id)));
    const leases = await take(harness, 50);
    await Promise.all(leases.map((lease, place) => (place < 10 ? harness.source.fail(lease, failure) : undefined)));
    await Promise.all(leases.slice(10).map((lease) => harness.source.complete(lease, result)));
    await harness.queue.discard(["nobody"]);
    expect(await costOf(() => harness.queue.discard(ids))).toBe(16 + 3);
  });

  test("less for jobs that end together", async () => {
    await Promise.all(Array.from({ length: 20 }, (_, place) => push(`job-${place}`)));
    const leases = await take(harness, 20);
    const completing = () => Promise.all(leases.map((lease) => harness.source.complete(lease, result)));
    expect(await costOf(completing)).toBe(3 + 20);
  });
});

test("a one-minute job costs at most 16 commands, all in", async () => {
  const { source } = harness;
  // What a producer sends and what the container makes of it: a push, an event, a take, a renewal each third of the
  // lease time, an end, and the take that finds nothing more.
  await stats.reset();
  await push("a");
  await shared.gateway.client().publish("ourvidz:events", "sdxl");
  const lease = await takeOne(harness);
  const renewals = Math.floor(60 / (resolveOptions(anyDatabase).leaseSeconds / 3));
  for (let renewal = 1; renewal <= renewals; renewal += 1) {
    expect(await source.renew([{ lease, progress: renewal / 3 }])).toEqual(["held"]);
  }
  expect(await source.complete(lease, result)).toBe("completed");
  expect(await stats.total()).toBeLessThanOrEqual(16);
});

test("a container whose executors are busy asks once in 90 seconds for ends, whatever jobs come", async () => {
  const shorter = 60;
  const idlePoll = Object.fromEntries(Object.entries(defaultIdlePoll).map(([name, ms]) => [name, ms / shorter]));
  const { source } = await harness.second({ events: true, idlePoll });
  await push("running");
  await source.take([{ worker: "sdxl", slots: 1 }]);
  const before = source.usage().commands;
  const busy = AbortSignal.timeout(6_000);
  let waits = 0;
  for (let minute = 1; !busy.aborted; minute += 1) {
    const pushed = pause(500).then(() => harness.queue.enqueue(makeJob(`next-${minute}`), { worker: "sdxl" }));
    await source.waitForChange(1_000, busy, "ends");
    waits += 1;
    await pushed;
  }
  // Each lasted its whole second.
  expect(waits).toBeLessThanOrEqual(6);
  // Of six minutes: four looks, the first as soon as the event stream is there, whose own cost is two.
  expect(source.usage().commands - before).toBeLessThanOrEqual(7);
});

describe("an hour at rest costs", () => {
  test.each([
    { events: true, limit: 400 },
    { events: false, limit: 1_200 },
  ])("at most $limit commands, events: $events", async ({ events, limit }) => {
    // One second here is a minute there: every pause of the source is shortened alike.
    const shorter = 60;
    const { source } = await harness.second({
      events,
      idlePoll: Object.fromEntries(Object.entries(defaultIdlePoll).map(([name, ms]) => [name, ms / shorter])),
    });
    await source.take([{ worker: "sdxl", slots: 1, offer }]);
    await source.announce(new Map([["sdxl", offer]]));
    await pause(100);
    const before = source.usage().commands;
    const rest = AbortSignal.timeout(6_000);
    const announcing = setInterval(
      () => void source.announce(new Map([["sdxl", offer]])),
      (offerRenewSeconds * 1000) / shorter,
    );
    while (!rest.aborted) {
      await source.waitForChange((source.idleTakeSeconds * 1000) / shorter, AbortSignal.any([rest, never]), "jobs");
      if (!rest.aborted) await source.take([{ worker: "sdxl", slots: 1, offer }]);
    }
    clearInterval(announcing);
    const inSixMinutes = source.usage().commands - before;
    console.log(`an hour at rest ${events ? "with" : "without"} events: ${inSixMinutes * 10} commands`);
    expect(inSixMinutes * 10).toBeLessThanOrEqual(limit);
  });
});
