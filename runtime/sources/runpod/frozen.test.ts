import { Worker } from "node:worker_threads";
import { afterEach, expect, it, onTestFinished, vi } from "vitest";
import { defaultTimings } from "./options.ts";
import { openSource, request } from "./testing/open-source.ts";

/* The platform is in a thread of its own: the container is to stand still while that answers. */
const serverCode = `
  const { createServer } = require("node:http");
  const { parentPort, workerData } = require("node:worker_threads");
  const steps = new Int32Array(workerData);
  const reached = (step) => {
    Atomics.store(steps, 0, step);
    Atomics.notify(steps, 0);
  };
  let takes = 0;
  const server = createServer((request, response) => {
    if (!request.url.includes("/job-take/") || ++takes > 1) return;
    reached(1);
    Atomics.wait(steps, 1, 0);
    response.setHeader("content-type", "application/json");
    response.end('{"id":"a","input":{"prompt":"a lake"}}', () => reached(2));
  });
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

/** For a blocking wait. */
const limitMs = 15_000;

afterEach(() => void vi.useRealTimers());

it("a job that came while the container was frozen is taken, though the poll's time was over meanwhile", async () => {
  const steps = new Int32Array(new SharedArrayBuffer(8));
  const thread = new Worker(serverCode, { eval: true, workerData: steps.buffer });
  onTestFinished(async () => void (await thread.terminate()));
  const port = await new Promise<number>((resolve) => thread.once("message", resolve));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { source } = await openSource({ takeUrl: `http://127.0.0.1:${port}/v2/lakes/job-take/$RUNPOD_POD_ID` });
  await source.take(request());
  const waiting = source.waitForChange(3_600_000, new AbortController().signal, "jobs");
  await expect.poll(() => Atomics.load(steps, 0)).toBe(1);
  // Nothing of this thread runs until the answer has come; the first that does is what its timers are for.
  Atomics.store(steps, 1, 1);
  Atomics.notify(steps, 1);
  expect(Atomics.wait(steps, 0, 1, limitMs)).not.toBe("timed-out");
  vi.advanceTimersByTime(defaultTimings.pollLimitMs);
  await waiting;
  expect((await source.take(request())).leases).toMatchObject([{ jobId: "a" }]);
});
