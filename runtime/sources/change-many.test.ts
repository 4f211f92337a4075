import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { enqueue } from "#test/conformance/sources/harness.ts";
import { type ChangeRequest, cancelMatching } from "./change-many.ts";
import { JobQueues } from "./job-queues.ts";
import { openHarness, type SqliteHarness } from "./sqlite/testing/sqlite-harness.ts";

/* 1,200 jobs of bob, among which every three hundredth is ann's. */
const signal = new AbortController().signal;
let harness: SqliteHarness;
let queues: JobQueues;

beforeEach(async () => {
  harness = await openHarness({ durable: false });
  queues = new JobQueues(new Map([["sqlite", harness.queue]]));
  for (let place = 0; place < 1200; place++)
    await enqueue(harness, `job-${place}`, { user_id: place % 300 === 0 ? "ann" : "bob" });
});
afterEach(() => harness.close());

function cancel(userId: string, request: Partial<ChangeRequest> = {}) {
  return cancelMatching(queues, { filter: { statuses: ["queued"], userId }, limit: 1000, signal, ...request });
}

async function cancelledIds(): Promise<string[]> {
  const { jobs } = await harness.queue.list({ status: "cancelled", limit: 200 });
  return jobs.map(({ job }) => job.id);
}

it("reads pages of their full size up to the limit, and goes on behind the last job that it changed", async () => {
  const match = vi.spyOn(harness.queue, "match");
  const first = await cancel("ann", { limit: 1 });
  expect(first).toMatchObject({ matched: 1, changed: { cancelled: 1 } });
  expect(await cancelledIds()).toEqual(["job-900"]);
  expect(match.mock.calls.length).toBeLessThan(6);
  match.mockClear();
  const second = await cancel("ann", { limit: 2, cursor: first.cursor ?? "" });
  expect(second).toMatchObject({ matched: 2, changed: { cancelled: 2 } });
  expect((await cancelledIds()).toSorted()).toEqual(["job-300", "job-600", "job-900"]);
  // 600 jobs in pages of 200.
  expect(match.mock.calls.length).toBeLessThan(8);
  expect(await cancel("ann", { cursor: second.cursor ?? "" })).toMatchObject({ matched: 1, cursor: null });
});

it.each([1, 7, 199, 200, 201])(
  "changes each of the jobs once, %i at a time",
  async (limit) => {
    let cursor: string | null | undefined;
    let changed = 0;
    for (let parts = 0; cursor !== null && parts < 1200; parts++) {
      const outcome = await cancel("bob", { limit, ...(cursor === undefined ? {} : { cursor }) });
      expect(outcome.matched).toBeLessThanOrEqual(limit);
      changed += outcome.changed.cancelled ?? 0;
      cursor = outcome.cursor;
    }
    expect(changed).toBe(1196);
    expect((await harness.queue.stats())[0]).toMatchObject({ queued: 4 });
  },
  120_000,
);

it("an interrupted call says where it was", async () => {
  const stopping = new AbortController();
  const match = harness.queue.match.bind(harness.queue);
  vi.spyOn(harness.queue, "match").mockImplementation(async (...args) => {
    const page = await match(...args);
    if (page.jobs.length > 0) stopping.abort();
    return page;
  });
  const first = await cancel("ann", { signal: stopping.signal });
  expect(first).toMatchObject({ matched: 1, changed: { cancelled: 1 } });
  expect(await cancel("ann", { cursor: first.cursor ?? "" })).toMatchObject({ matched: 3, cursor: null });
});
