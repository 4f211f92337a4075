import { describe, expect, test } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import type { JobFilter, Lease, MatchedJob } from "#runtime/sources/job-source.ts";
import { enqueue, failure, outliveLeases, result, type Suite, take, takeEnds, takeOne, worker } from "./harness.ts";

/** Changes of many jobs: found by a filter, cancelled, forgotten, counted. */

const crashed: ErrorReport = { code: "EXECUTOR_CRASHED", message: "the executor was killed" };
const refused: ErrorReport = { code: "HANDLER_FAILED", message: "a lake cannot be a square", permanent: true };
const invalid: ErrorReport = { code: "INVALID_JOB", message: "config.steps must be at most 150" };

export function describeDiscarding(suite: Suite): void {
  const { records, cancelling, redriving } = suite.capabilities;

  describe.skipIf(!records)("discard", () => describeForgetting(suite));
  describe.skipIf(!records)("match", () => describeMatching(suite));
  describe.skipIf(!records)("failure groups", () => describeGroups(suite, redriving));
  describe.skipIf(!records || !cancelling)("cancel of many", () => describeCancelMany(suite));
}

async function fail(suite: Suite, id: string, error = failure, fields: Readonly<Record<string, unknown>> = {}) {
  await enqueue(suite.harness(), id, fields);
  await suite.harness().source.fail(await takeOne(suite.harness()), error);
}

/** All that a filter matches, page by page. */
async function matched(suite: Suite, filter: JobFilter, limit = 2): Promise<MatchedJob[]> {
  const jobs: MatchedJob[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await suite.harness().queue.match(filter, { limit, cursor });
    jobs.push(...page.jobs);
    if (page.cursor === null) return jobs;
    cursor = page.cursor;
  }
}

async function matchedIds(suite: Suite, filter: JobFilter): Promise<string[]> {
  return (await matched(suite, filter)).map(({ jobId }) => jobId);
}

/** However the container means to settle it. */
async function expectLost(suite: Suite, lease: Lease): Promise<void> {
  const { source } = suite.harness();
  expect(await source.complete(lease, result)).toBe("lost");
  expect(await source.fail(lease, failure)).toBe("lost");
  expect(await source.cancelled(lease)).toBe("lost");
  expect(await source.release(lease)).toBe("lost");
  expect(await source.retry(lease, { error: failure, delaySeconds: 0 })).toBe("lost");
}

function describeForgetting(suite: Suite): void {
  test("forgets jobs that have ended, whatever their end, and no other", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "completed");
    await source.complete(await takeOne(suite.harness()), result);
    await fail(suite, "failed");
    await enqueue(suite.harness(), "cancelled");
    await source.cancelled(await takeOne(suite.harness()));
    await enqueue(suite.harness(), "running");
    await takeOne(suite.harness());
    await enqueue(suite.harness(), "queued");
    const ids = ["completed", "running", "failed", "queued", "nobody", "cancelled"];
    const first = ["discarded", "running", "discarded", "queued", "missing", "discarded"];
    expect(await queue.discard(ids)).toEqual(first);
    for (const id of ["completed", "failed", "cancelled"]) expect(await queue.get(id)).toBeNull();
    expect((await queue.list({ limit: 9 })).jobs.map(({ job }) => job.id)).toEqual(["queued", "running"]);
    expect(await queue.discard(ids)).toEqual(first.map((each) => (each === "discarded" ? "missing" : each)));
    const stats = (await queue.stats()).find((each) => each.queue === `${worker}_queue`);
    expect(stats).toMatchObject({ failed: 0, running: 1, queued: 1 });
    await outliveLeases(suite.harness());
    expect((await take(suite.harness(), 5)).map(({ jobId }) => jobId).toSorted()).toEqual(["queued", "running"]);
  });

  test("leaves the id and its keys free for a new job", async () => {
    const key = { idempotencyKey: "order-1" };
    await enqueue(suite.harness(), "a", {}, key);
    await suite.harness().source.fail(await takeOne(suite.harness()), failure);
    await suite.harness().queue.discard(["a"]);
    const again = await enqueue(suite.harness(), "b", { prompt: "another lake" }, key);
    expect(again).toMatchObject({ jobId: "b", created: true });
    expect(await enqueue(suite.harness(), "a", { prompt: "a third lake" })).toMatchObject({ created: true });
    expect(await take(suite.harness(), 5)).toHaveLength(2);
  });

  test("lets no late call with a token of the job bring it back", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await source.fail(lease, failure);
    await queue.discard(["a"]);
    expect(await source.renew([{ lease }])).toEqual(["lost"]);
    await expectLost(suite, lease);
    expect(await queue.get("a")).toBeNull();
    expect(await take(suite.harness(), 5)).toEqual([]);
  });

  test("fences an attempt whose container had lost contact while another one ended the job", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    const lost = await takeOne(suite.harness());
    await outliveLeases(suite.harness());
    const second = await suite.harness().second();
    expect(await second.source.complete(await takeOne(second), result)).toBe("completed");
    expect(await queue.discard(["a"])).toEqual(["discarded"]);
    expect(await source.renew([{ lease: lost }])).toEqual(["lost"]);
    await expectLost(suite, lost);
    expect(await queue.get("a")).toBeNull();
    // The id is free again, and the new job is nothing to that container either.
    await enqueue(suite.harness(), "a");
    expect(await source.renew([{ lease: lost }])).toEqual(["lost"]);
    expect(await source.complete(lost, result)).toBe("lost");
    expect(await queue.get("a")).toMatchObject({ status: "queued", attempt: 0 });
  });

  test.skipIf(!suite.capabilities.cancelling)("keeps a job until its end is reported", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    await queue.cancel("a");
    expect(await queue.discard(["a"])).toEqual(["unreported"]);
    const ends = await takeEnds(await suite.harness().second());
    expect(ends).toMatchObject([{ jobId: "a" }]);
    // It is with a container now, which may die before it has written it down.
    expect(await queue.discard(["a"])).toEqual(["unreported"]);
    await source.reported([{ jobId: "a", run: 1 }]);
    await (await suite.harness().second()).source.reported(ends);
    await outliveLeases(suite.harness());
    await source.reported(await takeEnds(suite.harness()));
    expect(await queue.discard(["a"])).toEqual(["discarded"]);
  });

  test("is safe at the same moment from two containers", async () => {
    for (const id of ["a", "b", "c"]) await fail(suite, id);
    const sides = [suite.harness(), await suite.harness().second()];
    const answers = await Promise.all(sides.map(({ queue }) => queue.discard(["a", "b", "c"])));
    expect(answers.flat().toSorted()).toEqual([...Array(3).fill("discarded"), ...Array(3).fill("missing")]);
    expect(await suite.harness().queue.failureGroups()).toEqual([]);
  });
}

function describeMatching(suite: Suite): void {
  test("finds each job once by state, worker, type, user and error, page by page", async () => {
    const { source } = suite.harness();
    await fail(suite, "a", crashed, { user_id: "ann" });
    await fail(suite, "b", crashed, { type: "sdxl_image_high", user_id: "bob" });
    await fail(suite, "c", failure, { user_id: "bob" });
    await fail(suite, "d", refused);
    await fail(suite, "e", invalid);
    await enqueue(suite.harness(), "f", { user_id: "ann" });
    await source.complete(await takeOne(suite.harness()), result);
    await enqueue(suite.harness(), "g", { user_id: "ann" });
    await takeOne(suite.harness());
    await enqueue(suite.harness(), "h", { user_id: "ann" });
    await enqueue(suite.harness(), "i", { user_id: "ann" }, { worker: "wan" });
    const ids = async (filter: JobFilter) => (await matchedIds(suite, filter)).toSorted().join("");
    expect(await ids({ statuses: ["failed"] })).toBe("abcde");
    expect(await ids({ statuses: ["failed"], code: "EXECUTOR_CRASHED" })).toBe("ab");
    expect(await ids({ statuses: ["failed"], code: "EXECUTOR_CRASHED", type: "sdxl_image_high" })).toBe("b");
    expect(await ids({ statuses: ["failed"], userId: "bob" })).toBe("bc");
    expect(await ids({ statuses: ["failed"], code: "TIMED_OUT" })).toBe("");
    expect(await ids({ statuses: ["queued", "running"], userId: "ann" })).toBe("ghi");
    expect(await ids({ statuses: ["queued", "running"], worker: "wan" })).toBe("i");
    expect(await ids({ statuses: ["queued", "running"], code: "TIMED_OUT" })).toBe("");
    expect(await ids({ statuses: ["completed", "failed"], type: "sdxl_image_fast" })).toBe("acdef");
    const found = await matched(suite, { statuses: ["failed"] });
    const permanent = found.filter(({ permanent }) => permanent).map(({ jobId }) => jobId);
    expect(permanent.toSorted()).toEqual(["d", "e"]);
    expect(found.every(({ status }) => status === "failed")).toBe(true);
  });

  test("finds jobs by their age", async () => {
    await fail(suite, "old");
    await enqueue(suite.harness(), "older");
    await suite.harness().grow(150);
    const record = await suite.harness().queue.get("older");
    if (record === null) throw new Error("the job is not kept");
    await suite.harness().grow(150);
    await enqueue(suite.harness(), "new");
    const createdBeforeMs = record.createdAtMs + 100;
    expect((await matchedIds(suite, { statuses: ["failed", "queued"], createdBeforeMs })).toSorted()).toEqual([
      "old",
      "older",
    ]);
    expect(await matchedIds(suite, { statuses: ["queued"], createdBeforeMs: record.createdAtMs - 60_000 })).toEqual([]);
  });

  test("goes on after jobs that were discarded meanwhile", async () => {
    const { queue } = suite.harness();
    for (const id of ["a", "b", "c", "d", "e"]) await fail(suite, id);
    const filter: JobFilter = { statuses: ["failed"], code: failure.code };
    const seen: string[] = [];
    for (let cursor: string | undefined, isThrough = false; !isThrough; ) {
      const page = await queue.match(filter, { limit: 2, cursor });
      seen.push(...page.jobs.map(({ jobId }) => jobId));
      await queue.discard(page.jobs.map(({ jobId }) => jobId));
      cursor = page.cursor ?? undefined;
      isThrough = page.cursor === null;
    }
    expect(seen).toEqual(["e", "d", "c", "b", "a"]);
    expect(await queue.failureGroups()).toEqual([]);
  });

  test("refuses a cursor that no page returned", async () => {
    for (const cursor of ["1; DROP TABLE jobs", "", "WzEsMl0"]) {
      const refused = suite.harness().queue.match({ statuses: ["failed"] }, { limit: 1, cursor });
      await expect(refused).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    }
  });
}

function describeGroups(suite: Suite, redriving: boolean): void {
  test("count failed jobs by worker, code and type, the last failure first", async () => {
    const { queue, advance } = suite.harness();
    expect(await queue.failureGroups()).toEqual([]);
    await fail(suite, "a", crashed);
    await fail(suite, "b", refused);
    await fail(suite, "c", failure);
    await advance(20);
    await fail(suite, "d", invalid, { type: "sdxl_image_high" });
    await advance(20);
    await fail(suite, "e", { ...crashed, message: "killed again" });
    const groups = await queue.failureGroups();
    expect(groups).toMatchObject([
      {
        worker,
        code: "EXECUTOR_CRASHED",
        type: "sdxl_image_fast",
        jobs: 2,
        permanent: 0,
        newest: { jobId: "e", message: "killed again" },
      },
      { code: "INVALID_JOB", type: "sdxl_image_high", jobs: 1, permanent: 1, newest: { jobId: "d" } },
      { code: "HANDLER_FAILED", type: "sdxl_image_fast", jobs: 2, permanent: 1, newest: { jobId: "c" } },
    ]);
    expect(groups[0]?.lastAtMs).toBe((await queue.get("e"))?.settledAtMs);
  });

  test("count jobs that failed while nothing ran them", async () => {
    const { queue, source } = suite.harness();
    await enqueue(suite.harness(), "a", { config: { expires_in_seconds: 1 } });
    await suite.harness().advance(1100);
    await source.reported(await takeEnds(suite.harness()));
    expect(await queue.failureGroups()).toMatchObject([
      { code: "EXPIRED", jobs: 1, permanent: 0, newest: { jobId: "a" } },
    ]);
    expect(await queue.discard(["a"])).toEqual(["discarded"]);
    expect(await queue.failureGroups()).toEqual([]);
  });

  test.skipIf(!redriving)("no longer count what was redriven or discarded", async () => {
    const { queue } = suite.harness();
    for (const id of ["a", "b", "c"]) await fail(suite, id);
    await queue.redrive("b");
    expect(await queue.failureGroups()).toMatchObject([{ jobs: 2, newest: { jobId: "c" } }]);
    await queue.discard(["c"]);
    expect(await queue.failureGroups()).toMatchObject([{ jobs: 1, newest: { jobId: "a" } }]);
    await queue.redrive("a");
    expect(await queue.failureGroups()).toEqual([]);
    await suite.harness().source.fail(await takeOne(suite.harness()), crashed);
    expect(await queue.failureGroups()).toMatchObject([{ code: crashed.code, jobs: 1 }]);
  });
}

function describeCancelMany(suite: Suite): void {
  test("ends what waits, requests the end of what runs, and leaves what has ended", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "done");
    await source.complete(await takeOne(suite.harness()), result);
    await enqueue(suite.harness(), "running");
    const lease = await takeOne(suite.harness());
    await enqueue(suite.harness(), "queued");
    expect(await queue.cancelMany(["queued", "done", "nobody", "running"])).toEqual([
      "cancelled",
      "settled",
      "missing",
      "requested",
    ]);
    expect(await source.renew([{ lease }])).toEqual(["cancelled"]);
    expect(await queue.get("queued")).toMatchObject({ status: "cancelled" });
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "queued", status: "cancelled" }]);
    expect(await queue.cancelMany([])).toEqual([]);
  });
}
