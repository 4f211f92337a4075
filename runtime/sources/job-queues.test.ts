import { afterEach, beforeEach, expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { JobQueues } from "./job-queues.ts";
import type { JobQueue } from "./job-source.ts";
import { openHarness, type SqliteHarness } from "./sqlite/testing/sqlite-harness.ts";

/* Two queues, each a database of its own, as one. */
let near: SqliteHarness;
let far: SqliteHarness;
let queues: JobQueues;
let changed: string[];

beforeEach(async () => {
  [near, far] = await Promise.all([openHarness({ durable: false }), openHarness({ durable: false })]);
  queues = named({ near: near.queue, far: far.queue });
  changed = [];
  queues.onChange((source) => changed.push(source));
});
afterEach(() => Promise.all([near.close(), far.close()]));

const job = (id: string) => jobEnvelope.parse({ id, type: "noop", user_id: "ann" });
const options = { worker: "test" };
const unreachable = () => Promise.reject(new CodedError("QUEUE_UNREACHABLE", "It does not answer."));

const named = (entries: Readonly<Record<string, JobQueue>>) => new JobQueues(new Map(Object.entries(entries)));

/** The queue with some of its calls done otherwise. */
function changedQueue(queue: JobQueue, calls: Partial<JobQueue>): JobQueue {
  return {
    enqueue: (one, to) => queue.enqueue(one, to),
    cancel: (id) => queue.cancel(id),
    redrive: (id) => queue.redrive(id),
    reprioritize: (id, priority) => queue.reprioritize(id, priority),
    pauseQueue: (worker) => queue.pauseQueue(worker),
    resumeQueue: (worker) => queue.resumeQueue(worker),
    get: (id) => queue.get(id),
    list: (filter) => queue.list(filter),
    waiting: (worker, limit) => queue.waiting(worker, limit),
    stats: () => queue.stats(),
    match: (filter, page) => queue.match(filter, page),
    cancelMany: (ids) => queue.cancelMany(ids),
    discard: (ids) => queue.discard(ids),
    failureGroups: () => queue.failureGroups(),
    ...calls,
  };
}

/** The near queue answers nothing, each call in its own way. */
function withoutNear(answer: () => Promise<never> = unreachable): JobQueues {
  const reads = { get: answer, list: answer, stats: answer, match: answer, failureGroups: answer };
  const changes = { enqueue: answer, cancel: answer, redrive: answer, cancelMany: answer, discard: answer };
  const waiting = { waiting: answer, reprioritize: answer, pauseQueue: answer, resumeQueue: answer };
  const gone = { ...reads, ...changes, ...waiting };
  return named({ near: gone, far: far.queue });
}

it("puts a job on the first, on the one that is named, or beside its parent", async () => {
  await queues.enqueue(job("a"), options);
  await queues.enqueue(job("b"), options, { source: "far" });
  await queues.enqueue(job("c"), options, { beside: "far" });
  await queues.enqueue(job("d"), options, { beside: "a source without a queue" });
  const idsOf = async ({ queue }: SqliteHarness) => (await queue.list({ limit: 9 })).jobs.map((each) => each.job.id);
  expect(await idsOf(near)).toEqual(["d", "a"]);
  expect(await idsOf(far)).toEqual(["c", "b"]);
  expect(changed).toEqual(["near", "far", "far", "near"]);
  await expect(queues.enqueue(job("e"), options, { source: "nowhere" })).rejects.toThrow(/"nowhere".*near, far/);
  const none = named({});
  await expect(none.enqueue(job("e"), options)).rejects.toThrow(/SOURCES/);
  expect(await none.list({ limit: 1 })).toMatchObject({ jobs: [], cursor: null });
  expect(await none.get("a")).toBeNull();
});

it("finds a job in whichever has it, and changes it there", async () => {
  await far.queue.enqueue(job("a"), options);
  expect(await queues.get("a")).toMatchObject({ job: { id: "a" }, status: "queued" });
  expect(await queues.cancel("a")).toBe("cancelled");
  await expect(queues.cancel("a")).rejects.toMatchObject({ code: "JOB_ALREADY_SETTLED" });
  await expect(queues.redrive("a")).rejects.toMatchObject({ code: "JOB_NOT_FAILED" });
  expect(changed).toEqual(["far"]);
  expect(await queues.get("nobody")).toBeNull();
  await expect(queues.cancel("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
});

it("asks only the one that it saw the job in, until that one does not know it any more", async () => {
  await far.queue.enqueue(job("a"), options);
  let requested = 0;
  const counting = changedQueue(near.queue, {
    get(id) {
      requested += 1;
      return near.queue.get(id);
    },
  });
  const counted = named({ near: counting, far: far.queue });
  for (let n = 0; n < 5; n++) await counted.get("a");
  expect(requested).toBe(1);
  await far.queue.cancel("a");
  await far.source.prune(-1000);
  expect(await counted.get("a")).toBeNull();
  expect(requested).toBe(2);
});

it("shows a job although another source does not answer, at all or ever", async () => {
  await far.queue.enqueue(job("a"), options);
  for (const broken of [withoutNear(), withoutNear(() => new Promise<never>(() => undefined))]) {
    expect(await broken.get("a")).toMatchObject({ job: { id: "a" } });
    expect(await broken.enqueue(job("b"), options, { source: "far" })).toMatchObject({ jobId: "b" });
  }
  expect(await withoutNear().cancel("a")).toBe("cancelled");
});

it("does not call a job unknown while a source that may have it does not answer", async () => {
  const broken = withoutNear();
  await expect(broken.get("nobody")).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
  await expect(broken.cancel("nobody")).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
});

it("asks a source to change what it does not show, as one whose jobs arrive on a list", async () => {
  const arriving = changedQueue(near.queue, {
    async cancel(id) {
      await near.queue.enqueue(job(id), options);
      return near.queue.cancel(id);
    },
  });
  const both = named({ far: far.queue, near: arriving });
  expect(await both.cancel("pushed")).toBe("cancelled");
});

it("lists over all of them in one order, each job once, in pages of any length", async () => {
  const expected: string[] = [];
  for (const [index, side] of [near, far, far, near, far, near, near].entries()) {
    await Promise.all([near.advance(1000), far.advance(1000)]);
    await side.queue.enqueue(job(`job-${index}`), options);
    expected.unshift(`job-${index}`);
  }
  for (const limit of [1, 2, 3, 5, 7, 8]) {
    const ids: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await queues.list({ limit, ...(typeof cursor === "string" ? { cursor } : {}) });
      expect(page.jobs.length).toBeLessThanOrEqual(limit);
      ids.push(...page.jobs.map((each) => each.job.id));
      cursor = page.cursor;
    } while (cursor !== null);
    expect(ids).toEqual(expected);
  }
  const { jobs } = await queues.list({ limit: 9 }, "far");
  expect(jobs.map((each) => each.job.id)).toEqual(["job-4", "job-2", "job-1"]);
});

it("keeps each source's own order, although its clock was set back", async () => {
  for (const [index, ms] of [10_000, -5000, 1000].entries()) {
    await near.advance(ms);
    await near.queue.enqueue(job(`near-${index}`), options);
    await far.queue.enqueue(job(`far-${index}`), options);
  }
  const ids: string[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await queues.list({ limit: 2, ...(typeof cursor === "string" ? { cursor } : {}) });
    ids.push(...page.jobs.map((each) => each.job.id));
    cursor = page.cursor;
  } while (cursor !== null);
  expect(ids.filter((id) => id.startsWith("near"))).toEqual(["near-2", "near-1", "near-0"]);
  expect(ids.filter((id) => id.startsWith("far"))).toEqual(["far-2", "far-1", "far-0"]);
});

it("lists what answers, names what does not, and shows its jobs when it is back", async () => {
  await near.queue.enqueue(job("a"), options);
  await far.queue.enqueue(job("b"), options);
  const page = await withoutNear().list({ limit: 9 });
  expect(page).toMatchObject({ jobs: [{ job: { id: "b" } }], unreachable: ["near"] });
  const rest = await queues.list({ limit: 9, cursor: page.cursor ?? "" });
  expect(rest).toMatchObject({ jobs: [{ job: { id: "a" } }], cursor: null, unreachable: [] });
});

it.each(["1", "near:1~elsewhere:1", "near:x", "near:1;DROP TABLE jobs", "~"])(
  "refuses the cursor %s, which no page of several sources names",
  async (cursor) => {
    await expect(queues.list({ limit: 1, cursor })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  },
);

it("is, with one source, nothing but that one", async () => {
  const only = named({ near: near.queue });
  for (const id of ["a", "b"]) await only.enqueue(job(id), options);
  const page = await only.list({ limit: 1 });
  expect(page).toEqual({ ...(await near.queue.list({ limit: 1 })), unreachable: [] });
});
