import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CallbackServer, startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";
import { inShort, readEvents } from "./testing/events.ts";

/* The app refuses callbacks until somebody mends it: what the API says meanwhile, and that it goes on at once. */
let app: CallbackServer;
let container: TestContainer;
/** Another container on the same data folder, which delivers nothing of the first one's. */
let neighbour: TestContainer;

beforeAll(async () => {
  app = await startCallbackServer();
  const env = { CALLBACK_URL: app.url, JOB_CALLBACK_SECRET: app.secret, HANDLERS_DIR: handlers };
  container = await startContainer(env);
  neighbour = await startContainer({ ...env, DATA_DIR: container.runtime.folder, WORKER_ID: "neighbour" });
  neighbour.runtime.dispatcher.pause();
});

afterAll(async () => {
  await neighbour.runtime.stop();
  await container.stop();
  await app.close();
});

beforeEach(() => app.faults.clear());

const handlers = fileURLToPath(new URL("./testing/handlers", import.meta.url));
const refused = { status: 401, body: '{"success":false,"code":"UNAUTHORIZED"}' };

async function refusedJob(config: Record<string, unknown> = {}) {
  app.faults.add({ times: 1000, does: refused });
  const job = await container.submitGated(config);
  await job.open();
  await expect
    .poll(async () => (await container.call("GET", `/jobs/${job.id}`)).json, { timeout: 15_000 })
    .toMatchObject({ delivery: { error: { code: "CALLBACK_REFUSED" } } });
  return job.id;
}

const until = (path: string) => expect.poll(async () => (await container.call("GET", path)).json, { timeout: 15_000 });

async function mended(id: string) {
  app.faults.clear();
  expect(await container.call("POST", "/outbox/try")).toMatchObject({ status: 202, json: { waiting: 1 } });
  await until(`/jobs/${id}`).toMatchObject({ status: "completed", delivery: null });
  await until("/outbox").toEqual({ waiting: 0, oldest_seconds: 0, alarms: [], rows: [], unreadable: [] });
}

describe("a job whose callback is refused", () => {
  it("runs, and says that it is being delivered, why it is not, and when the next try is", async () => {
    const id = await refusedJob();
    const view = {
      job_id: id,
      status: "running",
      delivery: {
        becomes: "completed",
        step: "report",
        since: expect.any(String),
        tries: expect.any(Number),
        error: { code: "CALLBACK_REFUSED", message: expect.stringContaining("401") },
        next_try_at: expect.any(String),
      },
    };
    const { json } = await container.call("GET", `/jobs/${id}`);
    expect(json).toMatchObject(view);
    // Every container says so, also one that has nothing to do with it.
    expect((await neighbour.call("GET", `/jobs/${id}`)).json).toMatchObject(view);
    expect((await neighbour.call("GET", "/jobs")).json).toMatchObject({ jobs: [view] });
    const { json: outbox } = await container.call("GET", "/outbox");
    expect(outbox).toMatchObject({
      waiting: 1,
      alarms: [{ code: "CALLBACK_REFUSED", step: "report", jobs: 1, needs_mending: true }],
      rows: [{ job_id: id, type: "gated", source: "sqlite", files: 1, ...view.delivery }],
    });
    await mended(id);
    expect([...app.known.values()].filter((one) => one.job_id === id && one.status === "completed")).toHaveLength(1);
  });

  it("is not cancelled, retried or discarded, and each refusal says what can be done", async () => {
    const id = await refusedJob();
    for (const one of [container, neighbour])
      for (const [method, path, code, why] of [
        ["DELETE", `/jobs/${id}`, "JOB_ALREADY_SETTLED", "there is nothing to cancel"],
        ["POST", `/jobs/${id}/retry`, "JOB_NOT_FAILED", "there is nothing to retry"],
        ["POST", `/jobs/${id}/discard`, "JOB_NOT_SETTLED", "it can be discarded when its result has been delivered"],
      ] as const) {
        const error = `Job ${id} has been worked off (completed) and is being delivered: ${why}; /outbox (ourvidz outbox) says what keeps it, /outbox/try (ourvidz outbox --try) tries it at once.`;
        const details = { status: "delivering" };
        expect(await one.call(method, path)).toMatchObject({ status: 409, json: { code, error, details } });
      }
    await mended(id);
  });

  it("sends who follows it an event, here and at another container", async () => {
    const id = await refusedJob();
    for (const one of [container, neighbour]) {
      const { url, close } = await one.listen();
      const stop = new AbortController();
      const response = await fetch(`${url}/jobs/${id}/events`, { signal: stop.signal });
      const seen: string[] = [];
      for await (const event of readEvents(response)) {
        seen.push(inShort(event));
        if (event.event !== "delivery") continue;
        expect(event.data).toMatchObject({ step: "report", error: { code: "CALLBACK_REFUSED" } });
        break;
      }
      expect(seen.slice(0, 2)).toEqual(["queued 0", "running 1"]);
      stop.abort();
      await close();
    }
    await mended(id);
  });

  it("that failed is not yet failed", async () => {
    const id = await refusedJob({ fail: "as requested" });
    expect((await container.call("GET", `/jobs/${id}`)).json).toMatchObject({
      status: "running",
      delivery: { becomes: "failed", step: "report" },
    });
    app.faults.clear();
    await container.call("POST", "/outbox/try");
    await until(`/jobs/${id}`).toMatchObject({ status: "failed", error: { message: "as requested" }, delivery: null });
  });
});

it("an app that is away for a moment is noted nowhere", async () => {
  app.faults.add({ times: 1, does: { status: 503 } });
  const job = await container.submitGated();
  await job.open();
  await until(`/jobs/${job.id}`).toMatchObject({ status: "completed" });
  expect((await container.call("GET", "/outbox")).json).toMatchObject({ alarms: [] });
});

it("a report that nobody will take is given up, and its job has its end", async () => {
  const id = await refusedJob();
  expect(await container.call("POST", "/outbox/give-up", { body: { job_id: id } })).toMatchObject({
    status: 202,
    json: { job_id: id, given_up: 1 },
  });
  await until(`/jobs/${id}`).toMatchObject({ status: "completed", delivery: null });
  await until("/outbox").toEqual({ waiting: 0, oldest_seconds: 0, alarms: [], rows: [], unreadable: [] });
  expect([...app.known.values()].filter(({ job_id, status }) => job_id === id && status !== "processing")).toEqual([]);
  expect(await container.call("POST", "/outbox/give-up", { body: { job_id: id } })).toMatchObject({
    status: 404,
    json: { code: "NOT_FOUND", error: `No report of job ${id} waits in this outbox.` },
  });
});
