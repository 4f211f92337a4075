import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import type { Runtime } from "#runtime/container/runtime.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestRuntime, untilEvent } from "#test/support/runtime.ts";
import { createApp } from "./index.ts";
import { startContainer, type TestContainer, toAnswer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

it("a paused container takes no jobs, lets the running one end, and says that it is not ready", async () => {
  const { id, open } = await container.submitGated();
  await untilEvent(container.runtime, id, (event) => event.kind === "progress");
  expect((await container.call("POST", "/worker/pause")).json).toEqual({ status: "paused", active_jobs: 1 });
  expect(await container.call("GET", "/ready")).toMatchObject({ status: 503, json: { code: "NOT_READY" } });
  const waiting = await container.runtime.submit("gated");
  await open();
  expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
  expect(await container.runtime.queue.get(waiting)).toMatchObject({ status: "queued", attempt: 0 });
  expect((await container.call("POST", "/worker/pause")).json).toEqual({ status: "paused", active_jobs: 0 });

  expect((await container.call("POST", "/worker/resume")).json).toMatchObject({ status: "running" });
  expect(await container.runtime.ended(waiting)).toMatchObject({ status: "completed" });
  expect((await container.call("GET", "/ready")).status).toBe(200);
});

/** A container that is asked by `during` after it listens and before it takes jobs. */
async function startAsked(
  during: (call: (method: string, path: string) => ReturnType<typeof toAnswer>) => Promise<void>,
) {
  const log = await createLogger({ level: "silent", format: "json" });
  const callOf = (runtime: Runtime) => {
    const app = createApp(runtime, log);
    return async (method: string, path: string) => toAnswer(await app.request(path, { method }));
  };
  const runtime = await startTestRuntime({}, async (assembled) => {
    await during(callOf(assembled));
    return undefined;
  });
  onTestFinished(async () => {
    await runtime.stop();
    await runtime.remove();
  });
  return { runtime, call: callOf(runtime) };
}

it("a pause that is asked for before the container takes jobs holds, until it is resumed", async () => {
  const { runtime, call } = await startAsked(async (early) => {
    expect((await early("GET", "/worker/status")).json).toMatchObject({ status: "starting", dispatcher: "starting" });
    expect((await early("GET", "/ready")).json).toMatchObject({ error: expect.stringContaining("is starting") });
    expect((await early("POST", "/worker/pause")).json).toEqual({ status: "paused", active_jobs: 0 });
    expect((await early("GET", "/ready")).json).toMatchObject({ error: expect.stringContaining("is paused") });
  });
  expect((await call("GET", "/worker/status")).json).toMatchObject({ dispatcher: "paused" });
  const waiting = await runtime.submit("noop");
  expect((await call("POST", "/worker/resume")).json).toMatchObject({ status: "running" });
  expect(await runtime.ended(waiting)).toMatchObject({ status: "completed" });
});

it("one that is paused and resumed before it takes jobs is starting again, and takes them", async () => {
  const { runtime } = await startAsked(async (early) => {
    await early("POST", "/worker/pause");
    expect((await early("POST", "/worker/resume")).json).toEqual({ status: "starting", active_jobs: 0 });
  });
  expect(await runtime.ended(await runtime.submit("noop"))).toMatchObject({ status: "completed" });
});
