import { describe, expect, it } from "vitest";
import { type JobResult, stoppedError } from "../job-source.ts";
import { openSource, request } from "./testing/open-source.ts";

const result: JobResult = { assets: [], metadata: { seed: 7 } };
const job = (id: string, input: unknown = { prompt: "a lake" }) => ({ id, input });
const signal = new AbortController().signal;

/** What a container posts of an error: a text that holds JSON. */
function errorOf(body: unknown) {
  return JSON.parse((body as { error: string }).error);
}

describe("the stop of the container", () => {
  it("breaks the poll off at once", async () => {
    const { server, source } = await openSource();
    await source.take(request());
    const waiting = source.waitForChange(60_000, signal, "jobs");
    await expect.poll(() => server.openTakes).toBe(1);
    await source.stopTaking();
    await expect.poll(() => server.openTakes).toBe(0);
    await source.close();
    await waiting;
  });

  it("fails what waits here, in words, and reports it as an end", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    await source.release(await takeOne());
    await source.stopTaking();
    expect((await source.take([])).ends).toMatchObject([
      { jobId: "a", status: "failed", error: { code: "SHUTTING_DOWN" } },
    ]);
    await expect.poll(() => server.bodies("a").length).toBe(1);
    expect(errorOf(server.bodies("a")[0])).toMatchObject({ error_type: "SHUTTING_DOWN" });
  });

  it("fails what is given back then, and lets what runs be finished", async () => {
    const { server, source, taken } = await openSource({ maxConcurrency: 2 });
    server.give(job("a"), job("b", { type: "lake_video" }));
    const [one, other] = await taken();
    if (one === undefined || other === undefined) throw new Error("two jobs were given");
    await source.stopTaking();
    expect(await source.release(one)).toBe("failed");
    await expect.poll(() => server.bodies("a").length).toBe(1);
    expect(errorOf(server.bodies("a")[0])).toMatchObject({ error_type: "SHUTTING_DOWN" });
    expect(await source.complete(other, result)).toBe("completed");
  });
});

describe("what is given back at the stop", () => {
  it("has ended without a wait for the platform, and is posted again until that takes it", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    server.postAnswers.push(500, 500, 500, 503);
    await source.stopTaking();
    expect(await source.retry(lease, { error: stoppedError, delaySeconds: 1 })).toBe("failed");
    expect(server.bodies("a")).toEqual([]);
    await expect.poll(() => server.bodies("a").length).toBe(5);
  });

  it("and what was coming in then has its end when the stop of the takes is over", async () => {
    const { server, source } = await openSource();
    const { begun, end } = server.slowTake(JSON.stringify(job("a")));
    await source.take(request());
    const waiting = source.waitForChange(60_000, signal, "jobs");
    await begun;
    const stopped = source.stopTaking();
    end();
    await stopped;
    await waiting;
    expect((await source.take([])).ends).toMatchObject([
      { jobId: "a", status: "failed", error: { code: "SHUTTING_DOWN" } },
    ]);
  });
});

describe("a refresh", () => {
  it("is requested with the result whose handler wants it, and the container is to stop", async () => {
    let stops = 0;
    const { server, source, takeOne } = await openSource({ requestStop: () => void stops++ });
    server.give(job("a"));
    await source.complete(await takeOne(), { assets: [], metadata: { refresh_worker: true, seed: 7 } });
    expect(server.bodies("a")).toEqual([{ output: { assets: [], metadata: { seed: 7 } }, stopPod: true }]);
    expect(stops).toBe(1);
    await source.take(request());
    const polls = server.takes.length;
    await source.waitForChange(20, signal, "jobs");
    expect(server.takes).toHaveLength(polls);
  });

  it("comes after a number of jobs, with the last one that this container has", async () => {
    const { server, source, taken, takeOne } = await openSource({ refreshAfterJobs: 2, maxConcurrency: 2 });
    server.give(job("a"));
    await source.complete(await takeOne(), result);
    expect(server.bodies("a")[0]).not.toHaveProperty("stopPod");
    server.give(job("b"), job("c", { type: "lake_video" }));
    const leases = await taken();
    for (const lease of leases) await source.complete(lease, result);
    expect(server.bodies("b")[0]).not.toHaveProperty("stopPod");
    expect(server.bodies("c")[0]).toHaveProperty("stopPod", true);
  });

  it("is requested by the last of two ends that are posted at a time", async () => {
    let stops = 0;
    const options = { refreshAfterJobs: 2, maxConcurrency: 2, requestStop: () => void stops++ };
    const { server, source, taken } = await openSource(options);
    server.give(job("a"), job("b", { type: "lake_video" }));
    const leases = await taken();
    expect(await Promise.all(leases.map((lease) => source.complete(lease, result)))).toEqual([
      "completed",
      "completed",
    ]);
    const bodies = server.heard.filter(({ method }) => method === "POST").map(({ body }) => body);
    expect(bodies).toMatchObject([{ output: {} }, { stopPod: true }]);
    expect(bodies[0]).not.toHaveProperty("stopPod");
    expect(stops).toBe(1);
  });

  it("is not requested by a result of an earlier process while a job runs here, but by that job's end", async () => {
    const earlier = await openSource();
    earlier.server.give(job("a"));
    const lease = await earlier.takeOne();
    const { server, source, takeOne } = await openSource({ refreshAfterJobs: 1 });
    server.give(job("b"));
    const running = await takeOne();
    await source.complete(lease, result);
    expect(server.bodies("a")).toHaveLength(1);
    expect(server.bodies("a")[0]).not.toHaveProperty("stopPod");
    await source.complete(running, result);
    expect(server.bodies("b")[0]).toHaveProperty("stopPod", true);
  });

  it("does not wait for a job here that comes to another end", async () => {
    let stops = 0;
    const { server, source, taken } = await openSource({ maxConcurrency: 2, requestStop: () => void stops++ });
    server.give(job("a"), job("b", { type: "lake_video" }));
    const [one, other] = await taken();
    if (one === undefined || other === undefined) throw new Error("two jobs were given");
    await source.release(other);
    await source.complete(one, { assets: [], metadata: { refresh_worker: true } });
    expect(stops).toBe(0);
    const waiting = source.waitForChange(60_000, signal, "ends");
    server.stop("b");
    await waiting;
    expect(stops).toBe(1);
  });

  it("is not requested while a job may still come: the poll is broken off first", async () => {
    const { server, source, takeOne } = await openSource({ refreshAfterJobs: 1, maxConcurrency: 2 });
    server.give(job("a"));
    const running = await takeOne();
    await source.take(request());
    const waiting = source.waitForChange(60_000, signal, "jobs");
    await expect.poll(() => server.openTakes).toBe(1);
    let openTakesAtEnd: number | null = null;
    server.postDelayMs = () => {
      openTakesAtEnd = server.openTakes;
      return 0;
    };
    await source.complete(running, result);
    expect(openTakesAtEnd).toBe(0);
    expect(server.bodies("a")[0]).toHaveProperty("stopPod", true);
    await source.close();
    await waiting;
  });

  it("comes with the end of a job that was coming in when it became wanted", async () => {
    let stops = 0;
    const options = { refreshAfterJobs: 1, maxConcurrency: 2, requestStop: () => void stops++ };
    const { server, source, takeOne } = await openSource(options);
    server.give(job("a"));
    const running = await takeOne();
    const { begun, end } = server.slowTake(JSON.stringify(job("b", { type: "lake_video" })));
    await source.take(request());
    const waiting = source.waitForChange(60_000, signal, "jobs");
    await begun;
    const completed = source.complete(running, result);
    end();
    await completed;
    await waiting;
    expect(server.bodies("a")[0]).not.toHaveProperty("stopPod");
    expect(stops).toBe(0);
    await source.complete(await takeOne(), result);
    expect(server.bodies("b")[0]).toHaveProperty("stopPod", true);
    expect(stops).toBe(1);
  });

  it("is requested after the failure of another job that never ran, which would be lost with the container", async () => {
    const { server, source, takeOne } = await openSource({ refreshAfterJobs: 1, maxConcurrency: 2 });
    server.give(job("a", { id: "same" }));
    const running = await takeOne();
    const delaysMs = [500];
    server.postDelayMs = () => delaysMs.shift() ?? 0;
    server.give(job("b", { id: "same" }));
    await source.take(request());
    const waiting = source.waitForChange(60_000, signal, "jobs");
    await expect.poll(() => delaysMs).toEqual([]);
    await source.complete(running, result);
    const ended = server.heard.filter(({ url }) => url.includes("/job-done/")).map(({ text }) => text);
    expect(ended).toEqual([expect.stringContaining("IDEMPOTENCY_CONFLICT"), expect.stringContaining("stopPod")]);
    await source.close();
    await waiting;
  });
});
