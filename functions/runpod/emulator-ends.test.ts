import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { startEmulator } from "./emulator.ts";
import { player, testKey } from "./testing/emulator.ts";
import { openHome } from "./testing/home.ts";

/* What an emulator has taken upon itself when a job ends, whatever becomes of its process. */
async function open() {
  const harness = await openHarness({ durable: false });
  const home = await openHome();
  const log = await createLogger({ level: "silent", format: "json" });
  const queue = new JobQueues(new Map([["sqlite", harness.queue]]));
  const own = { ...home, source: harness.source, queue, log, nowMs: harness.nowMs };
  /** Closed in the end, should the test not come to that. */
  const start = async (elsewhere: object = {}) => {
    const emulator = await startEmulator({ ...own, apiKeys: [testKey], host: "127.0.0.1", port: 0, ...elsewhere });
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= emulator.close();
      return closing;
    };
    onTestFinished(close);
    return { ...emulator, close };
  };
  onTestFinished(async () => {
    await home.close();
    await harness.close();
  });
  return { harness, home, start };
}

async function startReceiver() {
  const seen = { refused: 0, taken: [] as unknown[], isAway: false };
  const server = createServer(async (request, response) => {
    const body = await json(request);
    if (seen.isAway) seen.refused++;
    else seen.taken.push(body);
    response.writeHead(seen.isAway ? 503 : 200).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { seen, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/ended` };
}

/** Of the endpoint "lakes": a POST where there is a body. */
async function call(url: string, operation: string, body?: object) {
  const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return JSON.parse(
    await (await fetch(`${url}/lakes/${operation}`, { headers: { authorization: testKey }, ...post })).text(),
  );
}

const submit = async (url: string, body: object): Promise<string> => (await call(url, "run", body)).id;
const statusOf = (url: string, id: string) => call(url, `status/${id}`);
const health = (url: string) => call(url, "health");

it("notifies the webhook after a restart, with an output that no queue keeps", async () => {
  const { start, home } = await open();
  const { seen, url: webhook } = await startReceiver();
  seen.isAway = true;
  const first = await start();
  const id = await submit(first.url, { input: { prompt: "a lake" }, webhook });
  const worker = player(first.url, "lakes", "pod-1");
  await worker.take();
  const output = "m".repeat(300_000);
  await worker.done(id, { output });
  await expect.poll(() => seen.refused).toBeGreaterThan(0);
  await first.close();
  seen.isAway = false;
  await start();
  await expect
    .poll(() => seen.taken)
    .toEqual([
      {
        ...{ id, status: "COMPLETED", input: { prompt: "a lake" }, output, webhook },
        delayTime: expect.any(Number),
        executionTime: expect.any(Number),
        workerId: "pod-1",
      },
    ]);
  // No app knows of the job.
  expect(home.embedded.callbacks.of(id.replace(/-u1$/, ""))).toEqual([]);
});

it("settles a failure without an output that it has taken while the queue was away, and notifies its webhook after a restart", async () => {
  const { start, harness } = await open();
  const { seen, url: webhook } = await startReceiver();
  seen.isAway = true;
  const first = await start();
  const id = await submit(first.url, { input: { prompt: "a lake" }, webhook });
  const worker = player(first.url, "lakes", "pod-1");
  await worker.take();
  const fail = harness.source.fail.bind(harness.source);
  let tries = 0;
  harness.source.fail = async (...given) => {
    if (tries++ === 0) throw new Error("the queue is away");
    return fail(...given);
  };
  expect(await worker.done(id, { error: "the lake is frozen" })).toBe(200);
  await expect
    .poll(async () => (await harness.queue.get(id.replace(/-u1$/, "")))?.status, { timeout: 15_000 })
    .toBe("failed");
  await expect.poll(() => seen.refused).toBeGreaterThan(0);
  await first.close();
  seen.isAway = false;
  await start();
  await expect
    .poll(() => seen.taken)
    .toMatchObject([{ id, status: "FAILED", input: { prompt: "a lake" }, error: "the lake is frozen", webhook }]);
});

it("settles a result that it has taken while the queue was away", async () => {
  const { start, harness } = await open();
  const emulator = await start();
  const id = await submit(emulator.url, { input: {} });
  const worker = player(emulator.url, "lakes", "pod-1");
  await worker.take();
  let tries = 0;
  const complete = harness.source.complete.bind(harness.source);
  harness.source.complete = async (...given) => {
    if (tries++ === 0) throw new Error("the queue is away");
    return complete(...given);
  };
  expect(await worker.done(id, { output: 1 })).toBe(200);
  await expect
    .poll(async () => (await harness.queue.get(id.replace(/-u1$/, "")))?.status, { timeout: 15_000 })
    .toBe("completed");
  expect(tries).toBe(2);
});

it("reports ends of an app's jobs on the same queue to the app, and webhooks of its own jobs that never ran", async () => {
  const { start, harness, home } = await open();
  const { seen, url: webhook } = await startReceiver();
  const emulator = await start();
  const job = jobEnvelope.parse({ id: "of-an-app", type: "sdxl_image_fast", prompt: "a lake" });
  await harness.queue.enqueue(job, { worker: "sdxl" });
  await harness.queue.cancel("of-an-app");
  await expect.poll(() => home.embedded.callbacks.of("of-an-app")).toMatchObject([{ status: "cancelled" }]);
  const id = await submit(emulator.url, { input: {}, webhook });
  await harness.queue.cancel(id.replace(/-u1$/, ""));
  await expect.poll(() => seen.taken).toEqual([{ id, status: "CANCELLED", input: {}, webhook }]);
});

it("fails what is on an endpoint's queue and no request, and goes on with those that are", async () => {
  const { start, harness, home } = await open();
  const emulator = await start();
  const job = jobEnvelope.parse({ id: "of-an-app", type: "sdxl_image_fast", prompt: "a lake" });
  await harness.queue.enqueue(job, { worker: "runpod_lakes" });
  const id = await submit(emulator.url, { input: { prompt: "a lake" } });
  expect((await player(emulator.url, "lakes", "pod-1").take(1)).jobs).toMatchObject([{ id }]);
  const status = async () => (await harness.queue.get("of-an-app"))?.status;
  await expect.poll(status, { timeout: 15_000 }).toBe("failed");
  expect(await harness.queue.get("of-an-app")).toMatchObject({ error: { code: "INVALID_JOB" }, attempt: 1 });
  expect(home.embedded.callbacks.of("of-an-app")).toMatchObject([{ status: "failed" }]);
});

it("goes on with a job that an earlier process has given to a container", async () => {
  const { start, harness } = await open();
  const first = await start();
  const ids = [await submit(first.url, { input: {} }), await submit(first.url, { input: {} })];
  const { jobs } = await player(first.url, "lakes", "pod-1").take(2);
  expect(jobs.map(({ id }) => id)).toEqual(ids);
  const [done = "", cancelled = ""] = ids;
  await first.close();
  // Longer than the lease: nobody else takes from this queue.
  await harness.advance(harness.source.leaseSeconds * 1000 + 1);
  const second = await start();
  const worker = player(second.url, "lakes", "pod-1");
  expect(await statusOf(second.url, done)).toMatchObject({ status: "IN_PROGRESS", workerId: "pod-1" });
  expect(await worker.done(done, { output: "found" })).toBe(200);
  expect(await statusOf(second.url, done)).toMatchObject({ status: "COMPLETED", output: "found" });
  await call(second.url, `cancel/${cancelled}`, {});
  expect(await worker.stops()).toEqual([cancelled]);
  await second.close();
  const third = await start();
  expect(await statusOf(third.url, done)).toMatchObject({ status: "COMPLETED" });
  expect(await statusOf(third.url, cancelled)).toMatchObject({ status: "CANCELLED" });
  expect(await health(third.url)).toMatchObject({ jobs: { inQueue: 0, inProgress: 0, retried: 0 } });
});

it("shows a large output, and who made it, after a restart and at another process on the folder", async () => {
  const { start, home } = await open();
  const [first, other] = [await start(), await start()];
  const id = await submit(first.url, { input: {} });
  const worker = player(first.url, "lakes", "pod-1");
  await worker.take();
  const output = { picture: "m".repeat(1_000_000) };
  expect(await worker.done(id, { output })).toBe(200);
  const shown = async (url: string) => {
    const { status, workerId, output: made } = await statusOf(url, id);
    return [status, workerId, made?.picture?.length];
  };
  expect(await shown(other.url)).toEqual(["COMPLETED", "pod-1", 1_000_000]);
  await first.close();
  const second = await start();
  expect(await shown(second.url)).toEqual(["COMPLETED", "pod-1", 1_000_000]);
  expect(await readdir(join(home.config.dataFolder, "runpod", "outputs"))).toHaveLength(1);
});

it("gives a job of an earlier process to another container when nothing is heard of its own, and counts its time from its take", async () => {
  const { start, harness } = await open();
  const first = await start();
  const lost = await submit(first.url, { input: {} });
  const slow = await submit(first.url, { input: {}, policy: { executionTimeout: 60_000 } });
  await player(first.url, "lakes", "pod-1").take(2);
  await first.close();
  await harness.advance(59_900);
  const second = await start();
  await expect
    .poll(() => statusOf(second.url, slow))
    .toMatchObject({ status: "TIMED_OUT", executionTime: expect.any(Number) });
  const other = player(second.url, "lakes", "pod-2").take();
  await harness.advance(60_001);
  expect((await other).jobs).toEqual([{ id: lost, input: {} }]);
});

it("has a job run anew that could not be written down when it was given to a container", async () => {
  const { start, home } = await open();
  await writeFile(join(home.config.dataFolder, "runpod"), "no folder");
  const first = await start();
  const id = await submit(first.url, { input: {} });
  await player(first.url, "lakes", "pod-1").take();
  await first.close();
  const second = await start();
  const worker = player(second.url, "lakes", "pod-1");
  expect(await worker.done(id, { output: "found" })).toBe(404);
  expect((await worker.take()).jobs).toEqual([{ id, input: {} }]);
  expect(await worker.done(id, { output: "found" })).toBe(200);
  // Sent again, since its answer was lost.
  expect(await worker.done(id, { output: "found" })).toBe(200);
});

it("has a container keep the end of a job while the lease of a process elsewhere runs, and drop it then", async () => {
  const { start, harness } = await open();
  const first = await start();
  const id = await submit(first.url, { input: {} });
  await player(first.url, "lakes", "pod-1").take();
  await first.close();
  const elsewhere = await openHome();
  onTestFinished(elsewhere.close);
  const second = await start(elsewhere);
  const worker = player(second.url, "lakes", "pod-1");
  expect(await worker.done(id, { output: "found" })).toBe(503);
  await harness.advance(harness.source.leaseSeconds * 1000 + 1);
  // It asks for no job, as its only slot is taken by the end.
  await expect.poll(() => worker.done(id, { output: "found" }), { timeout: 15_000 }).toBe(404);
  expect((await worker.take()).jobs).toEqual([{ id, input: {} }]);
  expect(await worker.done(id, { output: "found" })).toBe(200);
});

it("keeps two processes on a data folder apart", async () => {
  const { start } = await open();
  const [first, second] = [await start(), await start()];
  const id = await submit(first.url, { input: {} });
  await player(first.url, "lakes", "pod-1").take();
  expect(await player(second.url, "lakes", "pod-1").done(id, { output: "found" })).toBe(503);
  await first.close();
  const third = await start();
  expect(await player(third.url, "lakes", "pod-1").done(id, { output: "found" })).toBe(200);
});

it("does nothing where its port is taken", async () => {
  const { start, harness } = await open();
  const { seen, url: webhook } = await startReceiver();
  seen.isAway = true;
  const first = await start();
  const id = await submit(first.url, { input: {}, webhook });
  const worker = player(first.url, "lakes", "pod-1");
  await worker.take();
  await worker.done(id, { output: 1 });
  await expect.poll(() => seen.refused).toBeGreaterThan(0);
  await first.close();
  seen.isAway = false;
  const take = harness.source.take.bind(harness.source);
  let takes = 0;
  harness.source.take = (...given) => {
    takes++;
    return take(...given);
  };
  await expect(start({ port: Number(new URL(webhook).port) })).rejects.toMatchObject({ code: "PORT_IN_USE" });
  expect([takes, seen.taken]).toEqual([0, []]);
  // Nor does it hold what the next one needs.
  const next = await start();
  onTestFinished(() => next.close());
  await expect.poll(() => seen.taken).toMatchObject([{ id }]);
});

it("answers whoever waits with the state as it is when it closes", async () => {
  const { start } = await open();
  const emulator = await start();
  const { url } = emulator;
  const worker = player(url, "lakes", "pod-1");
  const id = await submit(url, { input: {} });
  await worker.take();
  const waiting = Promise.all([
    call(url, "runsync", { input: {} }),
    call(url, `status-sync/${id}`),
    call(url, `stream/${id}`),
    worker.take(),
    player(url, "rivers", "pod-2").take(),
    worker.stops(),
  ]);
  await expect.poll(async () => (await health(url)).jobs).toMatchObject({ inProgress: 2 });
  await emulator.close();
  expect(await waiting).toEqual([
    { id: expect.stringMatching(/^sync-/), status: "IN_PROGRESS", delayTime: expect.any(Number), workerId: "pod-1" },
    { id, status: "IN_PROGRESS", delayTime: expect.any(Number), workerId: "pod-1" },
    { status: "IN_PROGRESS", stream: [] },
    { status: 200, jobs: [{ id: expect.stringMatching(/^sync-/), input: {} }] },
    { status: 204, jobs: [] },
    [],
  ]);
});
