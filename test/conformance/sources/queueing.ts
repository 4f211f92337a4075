import { describe, expect, test } from "vitest";
import { isSettled, type JobPage } from "#runtime/sources/job-source.ts";
import { enqueue, failure, result, type Suite, take, takeOne } from "./harness.ts";

export function describeQueueing(suite: Suite): void {
  const { idempotency, priorities, records, waiting } = suite.capabilities;

  describe.skipIf(!waiting)("enqueue", () => {
    test("tells the place in the queue", async () => {
      expect(await enqueue(suite.harness(), "a")).toEqual({ jobId: "a", created: true, position: 1 });
      expect(await enqueue(suite.harness(), "b")).toEqual({ jobId: "b", created: true, position: 2 });
      expect(await enqueue(suite.harness(), "video", {}, { worker: "wan" })).toMatchObject({ position: 1 });
    });

    test.each([
      ["1,048,576 characters", { note: "n".repeat(1_048_576) }],
      ["10,000 values", { list: Array.from({ length: 10_000 }, () => 0) }],
      ["1,000 names in one object", Object.fromEntries(Array.from({ length: 1_001 }, (_, n) => [`n${n}`, 0]))],
    ])("refuses a job of more than %s", async (_limit, config) => {
      await expect(enqueue(suite.harness(), "a", { config })).rejects.toMatchObject({ code: "BODY_TOO_LARGE" });
      expect(await take(suite.harness())).toEqual([]);
    });

    test("takes the largest job, whole", async () => {
      const config = { note: "n".repeat(1_020_000), list: Array.from({ length: 9_000 }, () => 7) };
      await enqueue(suite.harness(), "a", { config });
      expect((await takeOne(suite.harness())).job.config.list).toHaveLength(9_000);
    });

    test.skipIf(!priorities)("tells the place among priorities", async () => {
      await enqueue(suite.harness(), "a");
      expect(await enqueue(suite.harness(), "urgent", { priority: 1 })).toMatchObject({ position: 1 });
      expect(await enqueue(suite.harness(), "b")).toMatchObject({ position: 3 });
    });
  });

  describe.skipIf(!idempotency)("enqueue again", () => describeIdempotency(suite));
  describe.skipIf(!records)("records", () => describeRecords(suite));
}

function describeIdempotency(suite: Suite): void {
  const conflict = { code: "IDEMPOTENCY_CONFLICT" };

  test("with the same id and body makes no second job, in any state", async () => {
    await enqueue(suite.harness(), "a");
    expect(await enqueue(suite.harness(), "a")).toEqual({ jobId: "a", created: false, position: 1 });
    const lease = await takeOne(suite.harness());
    expect(await enqueue(suite.harness(), "a")).toEqual({ jobId: "a", created: false, position: 0 });
    await suite.harness().source.complete(lease, result);
    expect(await enqueue(suite.harness(), "a")).toEqual({ jobId: "a", created: false, position: 0 });
    expect(await take(suite.harness())).toEqual([]);
  });

  test("with the same id and another body is refused", async () => {
    await enqueue(suite.harness(), "a", { prompt: "a red cube" });
    await expect(enqueue(suite.harness(), "a", { prompt: "a blue cube" })).rejects.toMatchObject(conflict);
  });

  test("does not care in which order a body's keys come", async () => {
    await enqueue(suite.harness(), "a", { config: { steps: 4, seed: 1 } });
    expect(await enqueue(suite.harness(), "a", { config: { seed: 1, steps: 4 } })).toMatchObject({ created: false });
  });

  test("with the same key answers the first job, also when id and time stamp are new", async () => {
    const key = { idempotencyKey: "order-1" };
    await enqueue(suite.harness(), "a", { created_at: "2025-01-01T00:00:00Z" }, key);
    const again = await enqueue(suite.harness(), "b", { created_at: "2025-01-01T00:00:09Z" }, key);
    expect(again).toMatchObject({ jobId: "a", created: false });
    expect((await take(suite.harness(), 5)).map((lease) => lease.jobId)).toEqual(["a"]);
  });

  test("with the same key and another body is refused", async () => {
    const key = { idempotencyKey: "order-1" };
    await enqueue(suite.harness(), "a", { prompt: "a red cube" }, key);
    await expect(enqueue(suite.harness(), "b", { prompt: "a blue cube" }, key)).rejects.toMatchObject(conflict);
    expect(await take(suite.harness(), 5)).toHaveLength(1);
  });

  test("remembers every key that a job was enqueued with", async () => {
    await enqueue(suite.harness(), "a");
    await enqueue(suite.harness(), "a", {}, { idempotencyKey: "order-1" });
    const again = await enqueue(suite.harness(), "b", {}, { idempotencyKey: "order-1" });
    expect(again).toMatchObject({ jobId: "a", created: false });
  });

  test("with another user's key makes a job of its own", async () => {
    const key = { idempotencyKey: "1" };
    await enqueue(suite.harness(), "a", { user_id: "ann" }, key);
    expect(await enqueue(suite.harness(), "b", { user_id: "bob" }, key)).toMatchObject({ jobId: "b", created: true });
  });

  test("at the same moment from two containers makes one job", async () => {
    const sides = [suite.harness(), await suite.harness().second()];
    const outcomes = await Promise.all(sides.flatMap((side) => [enqueue(side, "a"), enqueue(side, "a")]));
    expect(outcomes.filter((outcome) => outcome.created)).toHaveLength(1);
    expect(await take(suite.harness(), 5)).toHaveLength(1);
  });
}

function describeRecords(suite: Suite): void {
  test("get answers null for a job that is not there", async () => {
    expect(await suite.harness().queue.get("nobody")).toBeNull();
  });

  test("list pages through all jobs, newest first, while new ones arrive", async () => {
    const { queue } = suite.harness();
    for (const id of ["a", "b", "c", "d", "e"]) await enqueue(suite.harness(), id);
    const first = await queue.list({ limit: 2 });
    await enqueue(suite.harness(), "f");
    const second = await queue.list({ limit: 2, ...(first.cursor === null ? {} : { cursor: first.cursor }) });
    const third = await queue.list({ limit: 2, ...(second.cursor === null ? {} : { cursor: second.cursor }) });
    const ids = [first, second, third].map((page) => page.jobs.map((record) => record.job.id));
    expect(ids).toEqual([["e", "d"], ["c", "b"], ["a"]]);
    expect(third.cursor).toBeNull();
  });

  test("list filters by worker, status, type and user, alone and together", async () => {
    const { queue, source } = suite.harness();
    await enqueue(suite.harness(), "a", { user_id: "ann" });
    await enqueue(suite.harness(), "b", { user_id: "ann", type: "sdxl_image_high" });
    await enqueue(suite.harness(), "c", { user_id: "bob" });
    await enqueue(suite.harness(), "d", { user_id: "ann" }, { worker: "wan" });
    await source.complete(await takeOne(suite.harness()), result);
    const ids = async (filter: object) => (await queue.list({ limit: 9, ...filter })).jobs.map(({ job }) => job.id);
    expect(await ids({ status: "completed" })).toEqual(["a"]);
    expect(await ids({ type: "sdxl_image_fast" })).toEqual(["d", "c", "a"]);
    expect(await ids({ worker: "sdxl" })).toEqual(["c", "b", "a"]);
    expect(await ids({ worker: "wan", status: "queued", userId: "ann" })).toEqual(["d"]);
    expect(await ids({ worker: "chat" })).toEqual([]);
    expect(await ids({ userId: "ann" })).toEqual(["d", "b", "a"]);
    expect(await ids({ userId: "ann", status: "queued" })).toEqual(["d", "b"]);
    expect(await ids({ userId: "bob", status: "queued", type: "sdxl_image_fast" })).toEqual(["c"]);
    expect(await ids({ userId: "bob", status: "failed" })).toEqual([]);
  });

  test("list bounds what one page holds, whatever its limit, and goes on where it ended", async () => {
    const { queue } = suite.harness();
    const ids = ["a", "b", "c", "d", "e"];
    for (const id of ids) await enqueue(suite.harness(), id, { config: { note: "n".repeat(450_000) } });
    const seen: string[][] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page: JobPage = await queue.list({ limit: 200, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(page.jobs.map(({ job }) => job.id));
      cursor = page.cursor;
    }
    expect(seen.flat()).toEqual(ids.toReversed());
    for (const page of seen.filter((page) => page.length > 0)) expect(page.length).toBeLessThanOrEqual(3);
    expect(seen.length).toBeGreaterThan(1);
  });

  test("list refuses a cursor that no page returned", async () => {
    const refused = suite.harness().queue.list({ limit: 1, cursor: "1; DROP TABLE jobs" });
    await expect(refused).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  test("stats count each queue", async () => {
    const { source, queue, grow } = suite.harness();
    for (const id of ["failed", "running", "waiting-1", "waiting-2"]) await enqueue(suite.harness(), id);
    await source.fail(await takeOne(suite.harness()), failure);
    await takeOne(suite.harness());
    await enqueue(suite.harness(), "delayed", {}, { delaySeconds: 60 });
    await enqueue(suite.harness(), "video", {}, { worker: "wan" });
    await grow(1000);
    const stats = await queue.stats();
    expect(stats.find((each) => each.queue === "sdxl_queue")).toMatchObject({
      queued: 2,
      delayed: 1,
      running: 1,
      failed: 1,
    });
    expect(stats.find((each) => each.queue === "wan_queue")).toMatchObject({ queued: 1, running: 0 });
    for (const { oldestQueuedSeconds } of stats) expect(oldestQueuedSeconds).toBeGreaterThanOrEqual(1);
  });

  test("a job is settled exactly when it has a time of settling", async () => {
    const { source, queue } = suite.harness();
    for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
    await source.complete(await takeOne(suite.harness()), result);
    await takeOne(suite.harness());
    for (const record of (await queue.list({ limit: 9 })).jobs) {
      expect(record.settledAtMs !== null).toBe(isSettled(record.status));
    }
  });
}
