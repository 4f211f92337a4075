import { randomUUID } from "node:crypto";
import { access } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { cancelJobs } from "./api/jobs-cancel-many.ts";
import { discardJobs } from "./api/jobs-discard-many.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
const post = (path: string, body?: unknown) => container.call("POST", path, body === undefined ? undefined : { body });
const fails = async (user: string, config: Record<string, unknown>) => {
  const id = await container.runtime.submit("gated", config, { user_id: user });
  await container.runtime.ended(id);
  return id;
};

/** What any queue must do, with whatever lies behind it. */
function describeGettingRid(start: () => Promise<TestContainer>): void {
  beforeAll(async () => {
    container = await start();
  });
  afterAll(() => container.stop());

  it("forgets one job, with its files and what was reported of it", async () => {
    const { runtime } = container;
    const id = await runtime.submit("gated", { size: 20 });
    const { result } = await runtime.ended(id);
    const [asset] = z.array(z.object({ url: z.string() })).parse(result?.assets);
    const file = runtime.files.locate("gated", asset?.url ?? "");
    await access(file);
    expect(await post(`/jobs/${id}/discard?files=true`)).toMatchObject({
      status: 200,
      json: { job_id: id, status: "discarded", files: 1 },
    });
    await expect(access(file)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await container.call("GET", `/jobs/${id}`)).toMatchObject({ status: 404 });
    expect(await post(`/jobs/${id}/discard`)).toMatchObject({ status: 404, json: { code: "JOB_NOT_FOUND" } });
  });

  it("keeps the files of a job that it forgets without them", async () => {
    const { runtime } = container;
    const id = await runtime.submit("gated", { size: 20 });
    await runtime.ended(id);
    expect(await post(`/jobs/${id}/discard`)).toMatchObject({ json: { files: 0 } });
    await access(runtime.files.locate("gated", `anonymous/${id}/0.txt`));
  });

  it("refuses a job that runs, with a sentence, and leaves its files", async () => {
    const { id, open } = await container.submitGated();
    await expect.poll(async () => (await container.runtime.queue.get(id))?.status).toBe("running");
    for (const query of ["", "?files=true"]) {
      const { status, json } = await post(`/jobs/${id}/discard${query}`);
      const error = `Job ${id} is running: only a job that has ended can be discarded; cancel it first.`;
      expect({ status, json }).toMatchObject({ status: 409, json: { code: "JOB_NOT_SETTLED", error } });
    }
    await open();
    expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
  });

  it("forgets a group of failures, in parts, and counts without changing anything when it is tried", async () => {
    const user = randomUUID();
    for (let n = 0; n < 3; n++) await fails(user, { stumble: "as asked" });
    const kept = await fails(randomUUID(), { stumble: "as asked" });
    const filter = { status: "failed", code: "INPUT_UNREACHABLE", type: "gated", queue: "test_queue", user_id: user };
    const tried = await post("/jobs/discard", { ...filter, dry_run: true });
    expect(tried.json).toMatchObject({ matched: 3, discarded: 3, left: [], cursor: null });
    let cursor: string | null | undefined;
    let discarded = 0;
    let calls = 0;
    for (; cursor !== null; calls++) {
      const { status, json } = await post("/jobs/discard", { ...filter, limit: 2, ...(cursor ? { cursor } : {}) });
      expect(status).toBe(200);
      const answer = discardJobs.responses[200].parse(json);
      discarded += answer.discarded;
      cursor = answer.cursor;
    }
    expect({ discarded, isInParts: calls > 1 }).toEqual({ discarded: 3, isInParts: true });
    expect(await container.runtime.queue.get(kept)).toMatchObject({ status: "failed" });
  });

  it("shows failures by code and type, with how many of them can be retried, and retries only those", async () => {
    await post("/jobs/discard", { status: "any" });
    const permanent = await fails("ann", { fail: "a lake cannot be a square" });
    await fails("ann", { stumble: "as asked" });
    const newest = await fails("ann", { stumble: "once more" });
    const groups = await container.call("GET", "/failures?queue=test_queue");
    expect(groups.json).toMatchObject({
      groups: [
        {
          queue: "test_queue",
          code: "INPUT_UNREACHABLE",
          type: "gated",
          jobs: 2,
          retryable: 2,
          newest: { job_id: newest, message: "once more" },
        },
        { code: "HANDLER_FAILED", jobs: 1, retryable: 0, newest: { job_id: permanent } },
      ],
      unreachable: [],
    });
    container.runtime.dispatcher.pause();
    const left = [{ code: "JOB_NOT_RETRYABLE", jobs: 1, message: expect.stringContaining("would fail again") }];
    const tried = await post("/queues/test_queue/redrive?dry_run=true");
    expect(tried.json).toMatchObject({ matched: 3, redriven: 2, left });
    expect((await post("/queues/test_queue/redrive")).json).toMatchObject({ redriven: 2, left, more: false });
    expect(await container.runtime.queue.get(permanent)).toMatchObject({ status: "failed" });
    expect((await container.call("GET", "/failures")).json).toMatchObject({ groups: [{ jobs: 1, retryable: 0 }] });
    container.runtime.dispatcher.resume();
  });

  it("cancels what waits and what runs of one user", async () => {
    const user = randomUUID();
    const running = await container.runtime.submit("gated", { gate: "/nowhere" }, { user_id: user });
    await expect.poll(async () => (await container.runtime.queue.get(running))?.status).toBe("running");
    const waiting = [];
    for (let n = 0; n < 3; n++)
      waiting.push(await container.runtime.submit("gated", { gate: "/nowhere" }, { user_id: user }));
    const { status, json } = await post("/jobs/cancel", { status: "any", user_id: user });
    expect(status).toBe(200);
    expect(cancelJobs.responses[200].parse(json)).toMatchObject({ matched: 4, cancelled: 3, requested: 1, left: [] });
    for (const id of [running, ...waiting]) await container.runtime.ended(id);
    const again = await post("/jobs/cancel", { status: "any", user_id: user });
    expect(again.json).toMatchObject({ matched: 0, cursor: null });
  });

  it.each([
    ["no state", {}, /status/],
    ["another state", { status: "running" }, /status/],
    ["a misspelt condition", { status: "failed", user: "ann" }, /user/],
    ["more at once than is taken", { status: "failed", limit: 1_000_000 }, /limit.*1 to 10000|limit.*10,000/],
    ["a cursor of another kind", { status: "failed", cursor: "1; DROP TABLE jobs" }, /cursor/],
    ["a cursor that no call answered", { status: "failed", cursor: "sqlite.abc" }, /cursor/],
    ["a source that there is not", { status: "failed", source: "nowhere" }, /nowhere/],
    ["a code that is none", { status: "failed", code: "drop table" }, /code/],
  ])("refuses a filter with %s, by name", async (_what, body, named) => {
    const { status, json } = await post("/jobs/discard", body);
    expect({ status, json }).toMatchObject({ status: 400, json: { code: "INVALID_REQUEST", error: named } });
  });

  it("names the queues when there is none of that name", async () => {
    const { status, json } = await post("/jobs/cancel", { status: "any", queue: "nope" });
    expect({ status, json }).toMatchObject({ status: 404, json: { code: "NOT_FOUND", error: /test_queue/ } });
  });
}

describe("the embedded queue", () => describeGettingRid(() => startContainer()));

describe("a queue on Redis", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway();
  });
  afterAll(() => gateway.close());
  describeGettingRid(() =>
    startContainer({ UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token }),
  );
});
