import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";

/*
 * An app that hears of its jobs by callbacks alone: of every job exactly one final one, whoever ended it.
 */
let app: CallbackServer;
let runtime: TestRuntime | undefined;

beforeEach(async () => {
  app = await startCallbackServer();
});

afterEach(async () => {
  await runtime?.stop();
  await runtime?.remove();
  runtime = undefined;
  await app.close();
});

async function start(env: Record<string, string> = {}): Promise<TestRuntime> {
  const callback = { CALLBACK_URL: app.url, JOB_CALLBACK_SECRET: app.secret };
  runtime = await startTestRuntime({ ...callback, ...env });
  return runtime;
}

function finalsOf(id: string): JobCallback[] {
  return app.arrived
    .map(({ callback }) => callback)
    .filter(({ job_id, status }) => job_id === id && status !== "processing");
}

/** The one final callback, after time enough for a second one to come. */
async function onlyFinal(id: string): Promise<JobCallback> {
  await expect.poll(() => finalsOf(id), { timeout: 10_000, interval: 20 }).toHaveLength(1);
  await expect.poll(() => runtime?.delivery.pending).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 400));
  const [final, ...more] = finalsOf(id);
  expect(more).toEqual([]);
  if (final === undefined) throw new Error("the callback is gone");
  return final;
}

describe("an app hears once, and what is true, of a job", () => {
  it("that is cancelled while it waits for its retry", async () => {
    const started = await start();
    const { submit, queue, events } = started;
    const id = await submit("noop", { failure: "retryable", fail_until_attempt: 9, retry_after_seconds: 60 });
    await untilEvent(started, id, (event) => event.kind === "state" && event.retryInSeconds !== undefined);
    expect(await queue.cancel(id)).toBe("cancelled");
    expect(await onlyFinal(id)).toMatchObject({ status: "cancelled", run: 1, attempt: 1, error_message: null });
    expect(events.replay(id).at(-1)?.event).toEqual({ kind: "state", status: "cancelled", attempt: 1 });
  });

  it("that an operator cancels before it has run", async () => {
    const { queue, dispatcher, submit, events } = await start();
    dispatcher.pause();
    const id = await submit("noop", {}, { image_id: "row-7", metadata: { origin: "shop" } });
    await queue.cancel(id);
    dispatcher.resume();
    const final = await onlyFinal(id);
    expect(final).toMatchObject({ status: "cancelled", attempt: 1, assets: [], metadata: { image_id: "row-7" } });
    expect(final.metadata).not.toHaveProperty("queue_time");
    expect(events.replay(id).map(({ event }) => event)).toEqual([{ kind: "state", status: "cancelled", attempt: 0 }]);
  });

  it("that is cancelled before it has run, while the only executor is busy with another one", async () => {
    const started = await start();
    const { submit, queue, ended } = started;
    const busy = await submit("noop", { steps: 300, step_ms: 100 });
    await untilEvent(started, busy, (event) => event.kind === "progress");
    const id = await submit("noop", {}, { image_id: "row-8" });
    await queue.cancel(id);
    expect(await onlyFinal(id)).toMatchObject({ status: "cancelled", metadata: { image_id: "row-8" } });
    expect(await queue.get(busy)).toMatchObject({ status: "running" });
    await queue.cancel(busy);
    await ended(busy);
  });

  it("that is cancelled while its container takes no jobs", async () => {
    const { submit, queue, dispatcher } = await start();
    dispatcher.pause();
    const [cancelled, waiting] = [await submit("noop"), await submit("noop")];
    await queue.cancel(cancelled);
    expect(await onlyFinal(cancelled)).toMatchObject({ status: "cancelled" });
    expect(await queue.get(waiting)).toMatchObject({ status: "queued" });
  });

  it("that was cancelled while no container was up", async () => {
    const first = await start();
    await first.stop();
    const config = readConfig({ DATA_DIR: first.folder }, () => "cli");
    const embedded = await openEmbedded(config);
    await embedded.source.enqueue(jobEnvelope.parse({ id: "a", type: "noop", prompt: "a lake" }), { worker: "test" });
    await embedded.source.cancel("a");
    await embedded.close();
    await start({ DATA_DIR: first.folder });
    expect(await onlyFinal("a")).toMatchObject({ status: "cancelled" });
  });

  it("whose container died after its cancel was requested", async () => {
    const { submit, queue, dispatcher, folder } = await start({ LEASE_SECONDS: "1" });
    dispatcher.pause();
    const id = await submit("noop");
    const dead = await openEmbedded(readConfig({ DATA_DIR: folder, LEASE_SECONDS: "1" }, () => "dead"));
    await dead.source.take([{ worker: "test", slots: 1 }]);
    await dead.close();
    expect(await queue.cancel(id)).toBe("requested");
    dispatcher.resume();
    expect(await onlyFinal(id)).toMatchObject({ status: "cancelled", attempt: 1 });
  });

  it("that waited longer than it may", async () => {
    const { submit, queue } = await start();
    const id = await submit("a_type_of_tomorrow", { expires_in_seconds: 0.5 });
    const final = await onlyFinal(id);
    expect(final).toMatchObject({ status: "failed", metadata: { error_type: "EXPIRED" } });
    expect(final.error_message).toMatch(/^The job waited longer than its own limit of 0\.5 s/);
    expect(await queue.get(id)).toMatchObject({ status: "failed", error: { code: "EXPIRED" } });
  });
});

it("a redriven job is a run of its own, whose callbacks count after the end of the one before", async () => {
  const { submit, queue, ended } = await start();
  const id = await submit("noop", { failure: "permanent", fail_until_attempt: 1 });
  await ended(id);
  expect(await onlyFinal(id)).toMatchObject({ status: "failed", run: 1, attempt: 1 });
  await queue.redrive(id);
  await expect.poll(() => finalsOf(id), { timeout: 10_000, interval: 20 }).toHaveLength(2);
  expect(finalsOf(id)[1]).toMatchObject({ run: 2, attempt: 1, status: "failed" });
  // A run that ends at once may be over before it is said to run.
  const finalKeys = [...app.known.keys()].filter((key) => key.startsWith(id) && !key.endsWith("/processing"));
  expect(finalKeys).toEqual([`${id}/1/failed`, `${id}/run 2/1/failed`]);
});
