import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Job } from "#contract/job.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";

/* A Redis that loses its data under a running job: what is finished reaches the app, and what is not is run again. */
let gateway: TestGateway;
let app: CallbackServer;
let container: TestRuntime;

beforeAll(async () => {
  [gateway, app] = await Promise.all([startTestGateway(), startCallbackServer()]);
  container = await startTestRuntime({
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    UPSTASH_LEASE_SECONDS: "10",
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
    HANDLERS_DIR: fileURLToPath(new URL("../functions/testing/handlers", import.meta.url)),
  });
});

afterAll(async () => {
  await container.stop();
  await container.remove();
  await Promise.all([gateway.close(), app.close()]);
});

beforeEach(async () => {
  await gateway.client().flushall();
});

const renewals = () => container.sources.get("upstash")?.paid?.usage().commandsByOperation.renew ?? 0;

/** A job that runs until its gate is opened. */
async function running(run?: number) {
  const gate = join(container.folder, `gate-${crypto.randomUUID()}`);
  const id = run === undefined ? await container.submit("gated", { gate }) : crypto.randomUUID();
  if (run !== undefined) await container.queue.enqueue(jobOf(id, gate), { worker: "test", run });
  await untilEvent(container, id, (event) => event.kind === "progress");
  return { id, open: () => writeFile(gate, "") };
}

const jobOf = (id: string, gate: string): Job => ({
  id,
  type: "gated",
  prompt: "a quiet lake",
  user_id: "anonymous",
  priority: 0,
  config: { gate },
  metadata: {},
});

const finals = (id: string) =>
  app.arrived.map(({ callback }) => callback).filter((one) => one.job_id === id && one.status !== "processing");

const losses = [
  ["was flushed", () => gateway.client().flushall()],
  ["was restarted without its data", () => gateway.redis.restart()],
] as const;

describe.each(losses)("when Redis %s under a running job", (_name, lose) => {
  it("the job runs on over the renewals, and its result is delivered once", { timeout: 60_000 }, async () => {
    const { id, open } = await running();
    await lose();
    const before = renewals();
    // The call that finds out which leases are held costs 5: it has looked twice.
    await expect.poll(renewals, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + 10);
    await open();
    await expect.poll(() => finals(id), { timeout: 15_000 }).toMatchObject([{ status: "completed", attempt: 1 }]);
    await expect.poll(() => container.delivery.pending).toBe(0);
    expect(await readFile(join(container.folder, `files/gated/anonymous/${id}/0.txt`), "utf8")).toBe("0123456789");
    const last = () => container.events.replay(id).at(-1)?.event;
    await expect.poll(last).toMatchObject({ kind: "state", status: "completed" });
  });

  it("a job that has to go back to its queue is put there again, in its run", { timeout: 60_000 }, async () => {
    const { id, open } = await running(3);
    await lose();
    container.restartExecutor(executor());
    await expect.poll(async () => (await container.queue.get(id))?.status, { timeout: 15_000 }).toBe("running");
    await open();
    await expect.poll(() => finals(id), { timeout: 15_000 }).toMatchObject([{ status: "completed", run: 3 }]);
    await expect.poll(() => container.queue.get(id)).toMatchObject({ status: "completed", attempt: 1 });
  });
});

it("a job that the app has queued again meanwhile is dropped, and run as that one", { timeout: 60_000 }, async () => {
  const { id, open } = await running();
  const record = await container.queue.get(id);
  if (record === null) throw new Error("the job is running");
  await gateway.client().flushall();
  container.dispatcher.pause();
  await container.queue.enqueue(record.job, { worker: record.worker });
  await expect.poll(() => container.dispatcher.activeJobs, { timeout: 30_000 }).toBe(0);
  expect(finals(id)).toEqual([]);
  await open();
  container.dispatcher.resume();
  await expect.poll(() => finals(id), { timeout: 15_000 }).toMatchObject([{ status: "completed", attempt: 1 }]);
});

function executor() {
  const found = container.executors.get("test");
  if (found === undefined) throw new Error("the worker runs");
  return found;
}
