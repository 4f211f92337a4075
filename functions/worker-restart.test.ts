import { afterAll, beforeAll, expect, it } from "vitest";
import { untilEvent } from "#test/support/runtime.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

const executor = () => {
  const found = container.runtime.executors.get("test");
  if (found === undefined) throw new Error("there is no such executor");
  return found;
};

it("gives the running job back uncharged, and runs it in a new process", async () => {
  const { id, open } = await container.submitGated();
  await untilEvent(container.runtime, id, (event) => event.kind === "progress");
  const before = executor().status.pid;
  const { status, json } = await container.call("POST", "/worker/restart/test");
  expect(status).toBe(202);
  expect(json).toMatchObject({ status: "restarting", worker_id: "test", estimated_startup_time: expect.any(Number) });
  expect((await container.call("GET", "/worker/status")).json).toMatchObject({
    workers: { test: { status: "restarting" } },
  });
  const released = async () => (await container.runtime.queue.get(id))?.attempts[0]?.outcome;
  await expect.poll(released, { timeout: 20_000 }).toBe("released");
  await open();
  const record = await container.runtime.ended(id);
  expect(record).toMatchObject({ status: "completed", attempt: 1 });
  expect(record.attempts.map(({ outcome }) => outcome)).toEqual(["released", "completed"]);
  expect(executor().status.pid).not.toBe(before);
  // What was requested is no failure.
  expect(executor().status).toMatchObject({ restarts: 0, errors: 0, isRestarting: false });
});

it("requested twice at once, is one restart, and the next job runs", async () => {
  await Promise.all([container.call("POST", "/worker/restart/test"), container.call("POST", "/worker/restart/test")]);
  const id = await container.runtime.submit("gated");
  expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
});

it("names the workers when there is none of that name", async () => {
  const { status, json } = await container.call("POST", "/worker/restart/sledge");
  expect(status).toBe(404);
  expect(json).toMatchObject({ code: "NOT_FOUND", error: /sledge.*test/, details: { workers: ["test"] } });
});

it("while the container stops, leaves no process behind", async () => {
  const other = await startContainer();
  await untilIdle(other);
  const pid = other.runtime.executors.get("test")?.status.pid ?? 0;
  const answer = await other.call("POST", "/worker/restart/test");
  expect(answer.status).toBe(202);
  await other.stop();
  expect(other.runtime.executors.get("test")?.status).toMatchObject({ state: "stopped", pid: null });
  expect(() => process.kill(pid, 0)).toThrow();
  expect((await other.call("POST", "/worker/restart/test")).status).toBe(503);
});

async function untilIdle({ runtime }: TestContainer): Promise<void> {
  await expect.poll(() => runtime.executors.get("test")?.status.state, { timeout: 20_000 }).toBe("idle");
}
