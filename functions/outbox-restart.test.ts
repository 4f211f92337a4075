import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type CallbackServer, startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { startStorageServer } from "#test/support/supabase/storage-server.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

/* A container whose results wait is started again on its data folder, with another environment. */
let app: CallbackServer;
let container: TestContainer;

beforeEach(async () => {
  app = await startCallbackServer();
});

afterEach(async () => {
  await container.stop();
  await app.close();
});

const until = (path: string) => expect.poll(async () => (await container.call("GET", path)).json, { timeout: 15_000 });

async function endedJob() {
  const job = await container.submitGated();
  await job.open();
  return job.id;
}

async function startAgain(env: Record<string, string>) {
  const { folder } = container.runtime;
  await container.runtime.stop();
  container = await startContainer({ ...env, DATA_DIR: folder });
}

it("without the callback that results were made for they wait, others do not, and with it they go", async () => {
  const env = { CALLBACK_URL: app.url, JOB_CALLBACK_SECRET: app.secret };
  app.faults.add({ times: 1000, does: { status: 401 } });
  container = await startContainer(env);
  const jobs = [await endedJob(), await endedJob()];
  await until("/outbox").toMatchObject({ waiting: 2, alarms: [{ code: "CALLBACK_REFUSED", jobs: 2 }] });

  await startAgain({});
  const other = await endedJob();
  await until(`/jobs/${other}`).toMatchObject({ status: "completed" });
  const why = { code: "CALLBACK_REFUSED", message: expect.stringMatching(/made for a callback.*set CALLBACK_URL/) };
  await until("/outbox").toMatchObject({
    waiting: 2,
    alarms: [{ ...why, step: "report", jobs: 2, needs_mending: true }],
    rows: jobs.map((job_id) => ({ job_id, error: why })),
  });
  // The source gets its notes a moment later.
  for (const id of jobs)
    await until(`/jobs/${id}`).toMatchObject({
      status: "running",
      delivery: { becomes: "completed", step: "report", error: why },
    });
  expect(await container.call("POST", "/outbox/try")).toMatchObject({ status: 202, json: { waiting: 2 } });
  await until("/outbox").toMatchObject({ waiting: 2, rows: [{ tries: expect.any(Number) }, {}] });

  app.faults.clear();
  await startAgain(env);
  for (const id of jobs) await until(`/jobs/${id}`).toMatchObject({ status: "completed", delivery: null });
  const taken = [...app.known.values()].filter(({ status }) => status === "completed");
  expect(taken.map(({ job_id }) => job_id).sort()).toEqual([...jobs].sort());
  await until("/outbox").toMatchObject({ waiting: 0 });
});

it("without the storage that files were made for they wait, and are not stored in the data folder", async () => {
  const storage = await startStorageServer({ buckets: [] });
  const callback = { CALLBACK_URL: app.url, JOB_CALLBACK_SECRET: app.secret, SOURCES: "sqlite" };
  container = await startContainer({
    ...callback,
    SUPABASE_URL: storage.url,
    SUPABASE_SERVICE_KEY: storage.secretKey,
    HEARTBEAT_SECONDS: "0",
  });
  const id = await endedJob();
  await until("/outbox").toMatchObject({ waiting: 1, alarms: [{ code: "STORAGE_REFUSED", step: "files" }] });
  await storage.close();

  await startAgain(callback);
  const why = { code: "STORAGE_REFUSED", message: expect.stringContaining("set SUPABASE_URL") };
  await until("/outbox").toMatchObject({ waiting: 1, alarms: [{ ...why, step: "files", needs_mending: true }] });
  expect((await container.call("GET", `/jobs/${id}`)).json).toMatchObject({ status: "running" });
  expect(await readdir(join(container.runtime.folder, "files"), { recursive: true })).toEqual([]);
  expect([...app.known.values()].filter(({ status }) => status === "completed")).toEqual([]);
});
