import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { isEnd } from "#runtime/dispatch/job-events.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { emulatorDelivery } from "./emulator-delivery.ts";
import { KeptOutputs } from "./kept-outputs.ts";
import { LiveJobs } from "./live-jobs.ts";
import { Takers } from "./takers.ts";
import { openHome } from "./testing/home.ts";
import { workerRoutes } from "./worker-routes.ts";

const signal = new AbortController().signal;
const holdMs = 60_000;

const dayMs = 86_400_000;

/** A container that has taken a job whose time is over after `limitMs`. */
interface Setting {
  readonly id?: string;
  readonly steadyMs?: () => number;
  readonly ttlMs?: number;
  /** Leases are renewed twice in it. */
  readonly silentMs?: number;
}

async function takeOne(limitMs: number, { id = "a", steadyMs, ttlMs = dayMs, silentMs = 200 }: Setting = {}) {
  const harness = await openHarness({ durable: false });
  const home = await openHome();
  const log = await createLogger({ level: "silent", format: "json" });
  const logged = vi.spyOn(log, "error");
  const ends = emulatorDelivery({ ...home, source: harness.source, log });
  const folder = join(home.config.dataFolder, "runpod", "outputs");
  const outputs = new KeptOutputs({ folder, log, keptMs: dayMs });
  const takers = new Takers({
    source: harness.source,
    live: new LiveJobs(),
    workerOf: () => "lakes",
    log,
    ends,
    kept: null,
    outputs,
    nowMs: harness.nowMs,
    steadyMs: steadyMs ?? harness.nowMs,
    silentMs,
  });
  onTestFinished(async () => {
    await takers.close();
    outputs.close();
    await ends.delivery.stop(1000);
    await home.close();
    await harness.close();
  });
  const runpod = {
    endpoint: "lakes",
    input: {},
    rest: {},
    webhook: null,
    executionTimeoutMs: limitMs,
    ttlMs,
  };
  const job = jobEnvelope.parse({ id, type: "runpod_job", metadata: { runpod } });
  await harness.queue.enqueue(job, { worker: "lakes" });
  await takers.start();
  expect(await takers.take("lakes", "pod-1", 1, holdMs, signal)).toMatchObject([{ id }]);
  return { ...harness, takers, ends, job, log, logged, routes: workerRoutes({ takers, queue: harness.queue, log }) };
}

it("settles a job whose time is over again when its queue did not take that", async () => {
  const { source, queue } = await takeOne(300);
  const fail = vi.spyOn(source, "fail").mockRejectedValueOnce(new Error("the disk is full"));
  await expect.poll(async () => (await queue.get("a"))?.error?.code).toBe("TIMED_OUT");
  expect(fail).toHaveBeenCalledTimes(2);
});

it.each([
  [300, dayMs, "The job ran longer than it may (executionTimeout 300 ms)."],
  [dayMs, 250, "The job had not ended when its time from the submission was over (ttl 250 ms)."],
])("says which limit a job has passed: executionTimeout %d, ttl %d", async (limitMs, ttlMs, message) => {
  const { queue } = await takeOne(limitMs, { ttlMs });
  await expect.poll(async () => (await queue.get("a"))?.error).toEqual({ code: "TIMED_OUT", message });
});

it("logs an outage of the queue once, and that it is over", async () => {
  const { source, takers, logged, log } = await takeOne(dayMs);
  const told = vi.spyOn(log, "info");
  const take = vi.spyOn(source, "take");
  for (let fails = 0; fails < 5; fails++) take.mockRejectedValueOnce(new Error("a cable is cut"));
  await expect
    .poll(async () => {
      await takers.take("lakes", "pod-1", 1, 1, signal);
      return told.mock.calls;
    })
    .toEqual([[{ after_ms: expect.any(Number) }, "jobs are taken again"]]);
  expect(logged).toHaveBeenCalledTimes(1);
});

it("offers to run the jobs of an endpoint while one of its containers is there", async () => {
  const { takers, queue, job, advance } = await takeOne(dayMs);
  await queue.enqueue({ ...job, id: "b" }, { worker: "lakes" });
  const lack = async () => (await queue.get("b"))?.waitingFor;
  await expect.poll(lack).toBe(null);
  await advance(1000);
  await expect.poll(lack).toEqual({ type: "runpod_job", model: null, served: false });
  takers.ping("lakes", "pod-1", false, []);
  await expect.poll(lack).toBe(null);
  await takers.close();
  expect(await lack()).toMatchObject({ served: false });
});

it("forgets containers that are gone, with what they were to stop", async () => {
  const { takers, queue, advance } = await takeOne(dayMs);
  takers.ping("lakes", "pod-2", false, []);
  await queue.cancel("a");
  await takers.cancelled("a");
  expect(takers.known).toEqual({ containers: 2, stopping: 1 });
  await advance(1000);
  await expect.poll(() => takers.known).toEqual({ containers: 0, stopping: 0 });
});

it("takes what is posted of a job that an earlier version has queued under the request's id", async () => {
  const id = "sync-7f3a1c52-1111-4222-8333-944455556666-u1";
  const { routes, queue } = await takeOne(dayMs, { id });
  const post = async (operation: string, body: object) => {
    const init = { method: "POST", body: JSON.stringify(body) };
    return (await routes.request(`/lakes/${operation}/pod-1/${id}?isStream=false`, init)).status;
  };
  expect(await post("job-stream", { output: "a part" })).toBe(200);
  expect(await post("job-done", { output: "a lake" })).toBe(200);
  expect(await queue.get(id)).toMatchObject({ status: "completed", result: { metadata: { output: "a lake" } } });
});

it("knows the end of a job that is run again after it has failed", async () => {
  const { takers, queue, ends } = await takeOne(dayMs);
  await takers.done("lakes", "pod-1", "a", { error: "no paint" });
  await queue.redrive("a");
  expect(await takers.take("lakes", "pod-1", 1, holdMs, signal)).toMatchObject([{ id: "a" }]);
  expect(takers.counts("lakes")).toMatchObject({ running: 1 });
  await takers.done("lakes", "pod-1", "a", { output: "a lake" });
  expect(takers.counts("lakes")).toMatchObject({ running: 0 });
  expect(await queue.get("a")).toMatchObject({ status: "completed" });
  const heard = () => ends.events.replay("a").filter(({ event }) => isEnd(event));
  await expect.poll(heard).toMatchObject([{ event: { status: "failed" } }, { event: { status: "completed" } }]);
});

it("answers an end that is sent again no earlier than the first one is written down", async () => {
  const { takers, ends } = await takeOne(dayMs);
  const disk = Promise.withResolvers<never>();
  vi.spyOn(ends.delivery, "finish").mockReturnValueOnce(disk.promise);
  const post = () => takers.done("lakes", "pod-1", "a", { output: "a lake" });
  const both = Promise.allSettled([post(), post()]);
  // Progress changes nothing any more, and waits for nothing.
  expect(await takers.done("lakes", "pod-1", "a", { status: "IN_PROGRESS", output: 0.5 })).toBe(true);
  disk.reject(new Error("the disk is full"));
  expect((await both).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await post()).toBe(true);
});

it("does not stop a job that a container has been given anew", async () => {
  const { takers, queue } = await takeOne(300);
  await expect.poll(async () => (await queue.get("a"))?.status).toBe("failed");
  expect(takers.known).toMatchObject({ stopping: 1 });
  await queue.redrive("a");
  await takers.take("lakes", "pod-1", 1, holdMs, signal);
  expect(takers.known).toMatchObject({ stopping: 0 });
});

it("gives the jobs of silent containers back side by side, after leases are renewed", async () => {
  const { takers, queue, source, advance, job } = await takeOne(dayMs);
  await queue.enqueue({ ...job, id: "b" }, { worker: "lakes" });
  expect(await takers.take("lakes", "pod-2", 1, holdMs, signal)).toMatchObject([{ id: "b" }]);
  const seen: string[] = [];
  const away = Promise.withResolvers<never>();
  onTestFinished(() => away.reject(new Error("the queue is away")));
  vi.spyOn(source, "renew").mockImplementation(async (renewals) => {
    if (seen.length === 0) await advance(1000);
    seen.push("renew");
    return renewals.map(() => "held");
  });
  vi.spyOn(source, "retry").mockImplementation(({ jobId }) => {
    if (!seen.includes("later")) setImmediate(() => seen.push("later"));
    seen.push(jobId);
    return away.promise;
  });
  await expect.poll(() => seen.slice(0, 4)).toEqual(["renew", "a", "b", "later"]);
});

it("hands a job out again whose container was killed, and started again under its name", async () => {
  const { takers, source, advance, routes } = await takeOne(dayMs);
  const renew = vi.spyOn(source, "renew");
  const ping = (query: string) => routes.request(`/lakes/ping/pod-1${query}`);
  // More than the time of silence in all, less between two pings.
  for (let count = 0; count < 3; count++) {
    await ping("?job_id=z,a");
    await advance(150);
    const { length } = renew.mock.calls;
    await expect.poll(() => renew.mock.calls.length).toBeGreaterThan(length + 1);
  }
  const again = takers.take("lakes", "pod-1", 1, holdMs, signal);
  expect(takers.retried("lakes")).toBe(0);
  await expect
    .poll(async () => {
      await advance(50);
      await ping("");
      return takers.retried("lakes");
    })
    .toBe(1);
  expect(await again).toMatchObject([{ id: "a" }]);
});

it("takes no container for gone because the clock was set", async () => {
  let steadyMs = 0;
  const { takers, source, advance } = await takeOne(dayMs, { steadyMs: () => steadyMs });
  takers.ping("lakes", "pod-1", false, ["a"]);
  const renew = vi.spyOn(source, "renew");
  await advance(600_000);
  await expect.poll(() => renew.mock.calls.length).toBeGreaterThan(1);
  expect(takers.retried("lakes")).toBe(0);
  steadyMs += 201;
  await expect.poll(() => takers.retried("lakes")).toBe(1);
});

it("keeps no more of an error than anybody reads", async () => {
  const { takers, queue } = await takeOne(dayMs);
  await takers.done("lakes", "pod-1", "a", { error: "m".repeat(1_000_000) });
  expect((await queue.get("a"))?.error?.message).toBe(`${"m".repeat(20_000)}…`);
});

it("goes on handing out jobs when one whose container is gone cannot be given back", async () => {
  const { takers, queue, source, job } = await takeOne(dayMs);
  const release = vi.spyOn(source, "release").mockRejectedValue(new Error("the queue is away"));
  const gone = new AbortController();
  const real = source.take.bind(source);
  vi.spyOn(source, "take").mockImplementation(async (requests) => {
    const taken = await real(requests);
    if (taken.leases.length > 0) gone.abort();
    return taken;
  });
  await queue.enqueue({ ...job, id: "b" }, { worker: "lakes" });
  expect(await takers.take("lakes", "pod-2", 1, holdMs, gone.signal)).toEqual([]);
  await expect.poll(() => release.mock.calls.length).toBe(1);
  await queue.enqueue({ ...job, id: "c" }, { worker: "lakes" });
  expect(await takers.take("lakes", "pod-2", 1, holdMs, signal)).toMatchObject([{ id: "c" }]);
});

it("logs why a request of a container has failed", async () => {
  const { routes, queue, logged } = await takeOne(dayMs);
  vi.spyOn(queue, "get").mockRejectedValueOnce(new Error("a cable is cut"));
  const answer = await routes.request("/lakes/job-done/pod-1/unknown", { method: "POST", body: '{"output":1}' });
  expect(answer.status).toBe(500);
  expect(logged).toHaveBeenCalledWith(
    expect.objectContaining({ error: expect.objectContaining({ message: "a cable is cut" }) }),
    "a request of a container failed",
  );
});

it("gives nobody else a job whose lease ran out while the queue was away, and takes the end that was posted meanwhile", async () => {
  const { takers, queue, source, advance, job, routes } = await takeOne(dayMs, { silentMs: 60_000 });
  await queue.enqueue({ ...job, id: "b" }, { worker: "lakes" });
  expect(await takers.take("lakes", "pod-1", 1, holdMs, signal)).toMatchObject([{ id: "b" }]);
  const away = () => Promise.reject(new Error("the queue is away"));
  const calls = ["take", "renew", "complete"] as const;
  const spies = calls.map((name) => vi.spyOn(source, name).mockImplementation(away));
  const next = new AbortController();
  const given = takers.take("lakes", "pod-2", 1, holdMs, next.signal);
  await expect.poll(() => spies[0]?.mock.calls.length).toBeGreaterThan(0);
  const post = () => routes.request("/lakes/job-done/pod-1/a", { method: "POST", body: '{"output":"a lake"}' });
  expect((await post()).status).toBe(200);
  await advance(source.leaseSeconds * 1000 + 1);
  for (const spy of spies) spy.mockRestore();
  const take = vi.spyOn(source, "take");
  await expect.poll(() => take.mock.calls.length, { timeout: 15_000 }).toBeGreaterThan(1);
  next.abort();
  expect(await given).toEqual([]);
  await expect.poll(async () => (await queue.get("a"))?.status, { timeout: 15_000 }).toBe("completed");
  expect(await queue.get("b")).toMatchObject({ status: "running", attempt: 1 });
});
