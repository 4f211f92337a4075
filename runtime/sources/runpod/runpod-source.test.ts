import { describe, expect, it } from "vitest";
import type { JobResult } from "../job-source.ts";
import { openSource, request } from "./testing/open-source.ts";

const result: JobResult = { assets: [], metadata: { seed: 7 }, text: "a quiet lake" };
const failure = { code: "HANDLER_FAILED", message: "the lake is dry" } as const;
const job = (id: string, input: unknown = { prompt: "a lake" }) => ({ id, input });
const signal = new AbortController().signal;

/** What a container posts of an error: a text that holds JSON. */
function errorOf(body: unknown) {
  return JSON.parse((body as { error: string }).error);
}

describe("a job", () => {
  it("is taken by a poll, with the headers and parameters of the protocol, and its output posted", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a-u1", { type: "lake_image", prompt: "a lake", steps: 4, user_id: "ann" }));
    const lease = await takeOne();
    expect(lease).toMatchObject({
      jobId: "a-u1",
      attempt: 1,
      run: 1,
      job: { id: "a-u1", type: "lake_image", prompt: "a lake", user_id: "ann", config: { steps: 4 } },
    });
    expect(server.takes[0]).toMatchObject({
      method: "GET",
      url: "/v2/lakes/job-take/pod-1?gpu=NVIDIA%20A40&job_in_progress=0",
      headers: { authorization: "raw-key", "content-type": "application/json" },
    });
    expect(await source.renew([{ lease }])).toEqual(["held"]);
    expect(await source.complete(lease, result)).toBe("completed");
    const [post] = server.posts("a-u1");
    expect(post).toMatchObject({
      method: "POST",
      url: "/v2/lakes/job-done/pod-1/a-u1?gpu=NVIDIA%20A40&isStream=false",
      headers: {
        authorization: "raw-key",
        "content-type": "application/x-www-form-urlencoded",
        charset: "utf-8",
        "x-request-id": "a-u1",
      },
      body: { output: { assets: [], text: "a quiet lake", metadata: { seed: 7 } } },
    });
    expect(await source.renew([{ lease }])).toEqual(["lost"]);
  });

  it("that fails posts its error in the fields of the official worker", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    expect(await source.fail(await takeOne(), failure)).toBe("failed");
    expect(errorOf(server.bodies("a")[0])).toEqual({
      error_type: "HANDLER_FAILED",
      error_message: "the lake is dry",
      error_traceback: "",
      hostname: "host",
      worker_id: "pod-1",
      runpod_version: expect.any(String),
    });
  });

  it("keeps an id of its own, and is posted under RunPod's also by a process that has not taken it", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a-u1", { id: "of-the-app", prompt: "a lake" }));
    const lease = await takeOne();
    expect(lease).toMatchObject({ jobId: "of-the-app", requestId: "a-u1" });
    const later = await openSource({ outputUrl: `${server.url}/job-done/$RUNPOD_POD_ID/$ID` });
    expect(await later.source.renew([{ lease }])).toEqual(["unknown"]);
    expect(await later.source.complete(lease, result)).toBe("completed");
    expect(server.bodies("a-u1")).toHaveLength(1);
    await source.complete(lease, result);
  });

  it("comes back here, after its pause, when it is retried, and at once when it is released", async () => {
    const { server, source, takeOne, pass } = await openSource();
    server.give(job("a"));
    expect(await source.retry(await takeOne(), { error: failure, delaySeconds: 60 })).toBe("requeued");
    expect((await source.take(request())).leases).toEqual([]);
    pass(60_001);
    const second = await takeOne();
    expect(second).toMatchObject({ jobId: "a", attempt: 2, previousError: failure });
    expect(await source.release(second)).toBe("requeued");
    const third = await takeOne();
    expect(third).toMatchObject({ attempt: 2, previousError: failure });
    expect(third.token).not.toBe(second.token);
    expect(await source.complete(second, result)).toBe("lost");
    expect(server.posts("a")).toEqual([]);
  });

  it.each(["complete", "fail", "retry", "release", "cancelled"] as const)(
    "%s, made twice, answers the same twice",
    async (call) => {
      const { server, source, takeOne } = await openSource();
      server.give(job("a"));
      const lease = await takeOne();
      const settle = {
        complete: () => source.complete(lease, result),
        fail: () => source.fail(lease, failure),
        retry: () => source.retry(lease, { error: failure, delaySeconds: 0 }),
        release: () => source.release(lease),
        cancelled: () => source.cancelled(lease),
      };
      const first = await settle[call]();
      const posts = server.posts("a").length;
      expect(await settle[call]()).toBe(first);
      const others = (["complete", "fail", "cancelled"] as const).filter((other) => other !== call);
      for (const other of others) expect(await settle[other]()).toBe("lost");
      expect(server.posts("a")).toHaveLength(posts);
    },
  );
});

describe("what cannot be run", () => {
  it.each([
    [undefined, "lake_image", undefined],
    [{}, "lake_image", undefined],
    ["a text", "rejected", 'its input is "a text": must be an object'],
    [{ type: "river" }, "river", 'Job type "river" is unknown: must be "lake_image" or "lake_video"'],
    [{ priority: "high", prompt: "a lake" }, "lake_image", "priority"],
    [{ depends_on: ["b"], prompt: "a lake" }, "lake_image", "depends_on: jobs of this queue do not wait for others"],
  ])("input %j is the job %s with the error %s", async (input, type, message) => {
    const { server, source, takeOne } = await openSource();
    server.give(input === undefined ? { id: "a" } : job("a", input));
    const lease = await takeOne();
    expect(lease.job.type).toBe(type);
    if (message === undefined) expect(lease.rejection).toBeUndefined();
    else expect(lease.rejection?.message).toContain(message);
    if (lease.rejection) expect(await source.fail(lease, lease.rejection)).toBe("failed");
  });

  it("is a job without a type where there is no default", async () => {
    const { server, source, taken } = await openSource({ defaultType: undefined });
    server.give(job("a"));
    const [lease] = await taken();
    expect(lease?.rejection?.message).toContain("RUNPOD_JOB_TYPE");
    if (lease) await source.fail(lease, failure);
  });

  it.each([{ type: "lake_video" }, { type: "river" }, { type: "lake_video", priority: "high" }])(
    "is a request with the id of another that is here: it fails at RunPod alone, and the other goes on (%j)",
    async (input) => {
      const { server, source, takeOne } = await openSource({ maxConcurrency: 3 });
      server.give(job("b", { type: "lake_image", id: "same" }));
      const first = await takeOne();
      server.give(job("c", { ...input, id: "same" }));
      await source.take(request());
      const waiting = new AbortController();
      const wait = source.waitForChange(60_000, waiting.signal, "jobs");
      await expect.poll(() => server.bodies("c").length).toBe(1);
      expect(errorOf(server.bodies("c")[0])).toMatchObject({ error_type: "IDEMPOTENCY_CONFLICT" });
      expect(await source.take(request())).toEqual({ leases: [], ends: [] });
      expect(await source.renew([{ lease: first }])).toEqual(["held"]);
      expect(await source.complete(first, result)).toBe("completed");
      waiting.abort();
      await wait;
    },
  );

  it("is a job that has waited here for longer than it says", async () => {
    const { server, source, takeOne, pass } = await openSource();
    server.give(job("a", { prompt: "a lake", config: { expires_in_seconds: 5 } }));
    await source.retry(await takeOne(), { error: failure, delaySeconds: 10 });
    pass(10_001);
    expect((await takeOne()).rejection).toMatchObject({ code: "EXPIRED" });
  });

  it("waits for what this container does not offer, and fails with the reason when nothing changes", async () => {
    const { server, source, takeOne, pass } = await openSource();
    server.give(job("a", { type: "lake_image", model_variant: "deep" }));
    const reason = { code: "MODEL_NOT_FOUND", message: "The model deep is missing." };
    await source.release(await takeOne(), 0, reason);
    const offer = { types: ["lake_image"], defaultModelTypes: ["lake_image"], models: ["shallow"] };
    const take = async () => (await source.take([{ worker: "images", slots: 1, offer }])).leases;
    expect(await take()).toEqual([]);
    pass(59_000);
    expect(await take()).toEqual([]);
    pass(2_000);
    const [lease] = await take();
    expect(lease?.rejection).toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("takes no job back"),
    });
  });
});

describe("polls", () => {
  it("ask for no more jobs than there is room for, in one batch, and for none while there is no slot", async () => {
    const { server, source, taken } = await openSource({ maxConcurrency: 3 });
    server.give(job("a"), job("b", { type: "lake_video" }), job("c"));
    const leases = await taken();
    expect(server.takes[0]?.url).toBe("/v2/lakes/job-take-batch/pod-1?gpu=NVIDIA%20A40&batch_size=2&job_in_progress=0");
    expect(leases.map(({ jobId }) => jobId)).toEqual(["a", "b"]);
    await source.take([]);
    const polls = server.takes.length;
    await source.waitForChange(20, signal, "jobs");
    expect(server.takes).toHaveLength(polls);
    await source.take(request());
    void source.waitForChange(5000, signal, "jobs");
    await expect
      .poll(() => server.takes.at(-1)?.url)
      .toBe("/v2/lakes/job-take/pod-1?gpu=NVIDIA%20A40&job_in_progress=1");
  });

  it("go on after no job, too many requests, a page of HTML, an error and a cut, which are reported while they last", async () => {
    const { server, source, taken } = await openSource({ timings: { errorPausesMs: [10] } });
    const html = { status: 200, type: "text/html", text: "<html>" };
    server.takeAnswers.push(204, 400, 429, html, 401, 502, "cut", html);
    const taking = taken();
    await expect.poll(() => source.trouble?.message).toContain("RunPod does not answer the take of jobs: it answers");
    server.give(job("a"));
    expect(await taking).toMatchObject([{ jobId: "a" }]);
    expect(source.trouble).toBeNull();
  });

  it("pause where an answer has nothing but what is here already", async () => {
    const { server, source, taken } = await openSource({ maxConcurrency: 2, timings: { floorMs: 20 } });
    server.give(job("a"));
    await taken();
    const again = { status: 200, type: "application/json", text: JSON.stringify([job("a")]) };
    server.takeAnswers.push(...Array.from({ length: 20 }, () => again));
    const startedAtMs = performance.now();
    server.give(job("b"));
    expect(await taken()).toMatchObject([{ jobId: "b" }]);
    expect(performance.now() - startedAtMs).toBeGreaterThan(300);
    expect(source.trouble).toBeNull();
  });

  it("work with a template that has no query, and one that says the id itself", async () => {
    const { server, taken } = await openSource();
    const other = await openSource({ takeUrl: `${server.url}/job-take/pod-7` });
    server.give(job("a"));
    expect(await other.taken()).toMatchObject([{ jobId: "a" }]);
    expect(server.takes.map(({ url }) => url)).toContain("/v2/lakes/job-take/pod-7?job_in_progress=0");
    expect(taken).toBeTypeOf("function");
  });
});

describe("a stop from outside", () => {
  it("ends the wait for leases, is the answer of the renewal, and nothing is posted", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    const waiting = source.waitForChange(60_000, signal, "leases");
    server.stop("a");
    await waiting;
    expect(await source.renew([{ lease }])).toEqual(["cancelled"]);
    source.publish(lease, { kind: "progress", progress: 0.5, step: 1, total: 2 });
    expect(await source.cancelled(lease)).toBe("cancelled");
    expect(server.posts("a")).toEqual([]);
  });

  it("of a job that waits for its next attempt is an end that somebody has to report", async () => {
    const { server, source, takeOne, pass } = await openSource();
    server.give(job("a"));
    await source.retry(await takeOne(), { error: failure, delaySeconds: 60 });
    const waiting = source.waitForChange(60_000, signal, "ends");
    server.stop("a");
    await waiting;
    const { ends } = await source.take([]);
    expect(ends).toMatchObject([{ jobId: "a", status: "cancelled", attempt: 1 }]);
    expect((await source.take([])).ends).toEqual([]);
    pass(30_001);
    expect((await source.take([])).ends).toEqual(ends);
    await source.reported(ends);
    pass(30_001);
    expect((await source.take([])).ends).toEqual([]);
  });

  it("makes a retry or a release of the job its cancel", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    const waiting = source.waitForChange(60_000, signal, "leases");
    server.stop("a");
    await waiting;
    expect(await source.release(lease)).toBe("cancelled");
    expect((await source.take([])).ends).toEqual([]);
  });
});
