import { expect, it, onTestFinished } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { emulatorDelivery } from "./emulator-delivery.ts";
import { GivenJobs } from "./given-jobs.ts";
import { KeptJobs } from "./kept-jobs.ts";
import { LiveJobs } from "./live-jobs.ts";
import { openHome } from "./testing/home.ts";

it("has nothing of an earlier attempt left when a job is given anew that it did not know to have ended", async () => {
  const harness = await openHarness({ durable: false });
  const { source, queue, nowMs } = harness;
  const home = await openHome();
  const log = await createLogger({ level: "silent", format: "json" });
  const ends = emulatorDelivery({ ...home, source, log });
  const kept = await KeptJobs.open(home.config.dataFolder, { port: 0, source: source.name });
  const live = new LiveJobs();
  const given = new GivenJobs({ source, ends, live, kept, log, nowMs, steadyMs: nowMs, silentMs: 60_000 });
  onTestFinished(async () => {
    await given.close();
    await ends.delivery.stop(0);
    await home.close();
    await harness.close();
  });
  const runpod = { endpoint: "lakes", input: {}, rest: {}, webhook: null, executionTimeoutMs: 60_000, ttlMs: 60_000 };
  const job = jobEnvelope.parse({ id: "a", type: "runpod_job", metadata: { runpod } });
  const taken = async () => {
    const [lease] = (await source.take([{ worker: "lakes", slots: 1 }])).leases;
    if (lease === undefined) throw new Error("the job was due");
    return lease;
  };
  await queue.enqueue(job, { worker: "lakes" });
  const first = await taken();
  await given.give(first, "lakes", "pod-1");
  const before = given.get("a");
  live.setResult("a", { output: "of the first", error: undefined });
  // By another process.
  await source.fail(first, { code: "HANDLER_FAILED", message: "no paint" });
  await queue.redrive("a");
  const second = await taken();
  await given.give(second, "lakes", "pod-2");
  await before?.gone.promise;
  expect(given.get("a")).toMatchObject({ lease: { token: second.token }, workerId: "pod-2" });
  expect(live.peek("a")).toMatchObject({ output: undefined, workerId: "pod-2" });
  await expect.poll(async () => (await kept.all()).map(({ lease }) => lease.token)).toEqual([second.token]);
});
