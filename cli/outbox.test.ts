import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { OurvidzClient } from "#client/client.ts";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { outboxMigrations } from "#runtime/delivery/outbox-migrations.ts";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { type CallbackServer, startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

/* What the command and the client say of a job whose callback is refused. */
let app: CallbackServer;
let container: TestContainer;
let client: OurvidzClient;
let folder: string;
let env: Record<string, string>;
let jobId: string;

beforeAll(async () => {
  app = await startCallbackServer();
  app.faults.add({ times: 1000, does: { status: 401 } });
  container = await startContainer({
    WAN_WORKER_API_KEY: testKey,
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
  });
  const { url } = await container.listen();
  folder = await temporaryFolder();
  env = { OURVIDZ_URL: url, OURVIDZ_KEY: testKey, DATA_DIR: "" };
  client = new OurvidzClient({ url, key: testKey });
  const job = await container.submitGated();
  jobId = job.id;
  await job.open();
  await vi.waitFor(async () => expect((await client.job(jobId)).delivery?.error?.code).toBe("CALLBACK_REFUSED"), {
    timeout: 30_000,
  });
});

afterAll(async () => {
  await container.stop();
  await app.close();
});

const here = () => ["--data", container.runtime.folder];
const refused = { becomes: "completed", step: "report", error: { code: "CALLBACK_REFUSED" } };

test.each([
  ["over HTTP", () => []],
  ["in its data folder", here],
])("the job is delivering, and cannot be cancelled: %s", async (_where, options) => {
  const job = await runCli(folder, ["job", jobId, ...options()], env);
  expect(job.stdout).toMatch(/status +delivering \(CALLBACK_REFUSED\)/);
  expect(job.stdout).toMatch(/delivering +has been worked off \(completed\); waits for the app to take its report/);
  expect(job.stdout).toMatch(/reason +CALLBACK_REFUSED: .*401/);
  expect((await runCli(folder, ["jobs", ...options()], env)).stdout).toMatch(/delivering \(CALLBACK_REFUSED\)/);
  const cancelled = await runCli(folder, ["cancel", jobId, "--json", ...options()], env);
  expect(JSON.parse(cancelled.stdout)).toMatchObject({ error: { code: "JOB_ALREADY_SETTLED" } });
});

test("the outbox is shown, of a container and of a data folder, as one document too", async () => {
  const shown = await runCli(folder, ["outbox"], env);
  expect(shown.stdout).toMatch(new RegExp(`${jobId}\\tcompleted\\tthe app\\t.*CALLBACK_REFUSED`));
  expect(shown.stderr).toMatch(/CALLBACK_REFUSED \(1 job\): .*401/);
  const local = await runCli(folder, ["outbox", "--json", ...here()], env);
  expect(JSON.parse(local.stdout)).toMatchObject({
    waiting: 1,
    alarms: [{ code: "CALLBACK_REFUSED", step: "report", jobs: 1, needs_mending: true }],
    rows: [{ job_id: jobId, ...refused }],
  });
  expect((await runCli(folder, ["outbox", ...here()], env)).stderr).toMatch(/CALLBACK_REFUSED \(1 job\): .*401/);
  const nowhere = await runCli(folder, ["outbox", "--json", "--data", "nowhere"], env);
  expect(JSON.parse(nowhere.stdout)).toMatchObject({ error: { code: "DATA_FOLDER_UNUSABLE" } });
});

test.each([
  ["over HTTP", () => []],
  ["in its data folder", here],
])("who discards all ended jobs hears of the one that waits: %s", async (_where, options) => {
  const { stderr, exitCode } = await runCli(folder, ["discard", "--all", "--yes", ...options()], env);
  expect(stderr).toMatch(
    /No job matches\. 1 job has been worked off, and its result waits .*"ourvidz outbox" says why/,
  );
  expect(exitCode).toBe(0);
});

test("what waits behind another one says for what", async () => {
  const other = await container.submitGated();
  await other.open();
  await vi.waitFor(async () => expect((await client.outbox()).rows).toHaveLength(2), { timeout: 30_000 });
  const { stdout } = await runCli(folder, ["outbox", "--json", ...here()], env);
  expect(JSON.parse(stdout)).toMatchObject({
    alarms: [{ code: "CALLBACK_REFUSED", jobs: 2 }],
    rows: [
      { job_id: jobId, ...refused },
      { job_id: other.id, tries: 0, ...refused },
    ],
  });
});

test.each([
  ["over HTTP", () => []],
  ["in its data folder", here],
])("they are tried again at a word, when the app takes them: %s", async (_where, options) => {
  if ((await client.outbox()).waiting === 0) {
    app.faults.add({ times: 1000, does: { status: 401 } });
    const job = await container.submitGated();
    jobId = job.id;
    await job.open();
    await vi.waitFor(async () => expect((await client.outbox()).alarms).toHaveLength(1), { timeout: 30_000 });
  }
  app.faults.clear();
  expect((await runCli(folder, ["outbox", "--try", ...options()], env)).exitCode).toBe(0);
  await expect.poll(async () => (await client.job(jobId)).status, { timeout: 20_000 }).toBe("completed");
  await expect.poll(async () => (await client.outbox()).waiting, { timeout: 20_000 }).toBe(0);
  expect(await client.outbox()).toEqual({ waiting: 0, oldest_seconds: 0, alarms: [], rows: [], unreadable: [] });
  expect((await runCli(folder, ["outbox"], env)).stderr).toMatch(/Nothing waits/);
});

test("a report that nobody will take is given up, also in the data folder, and none that is not there", async () => {
  app.faults.add({ times: 1000, does: { status: 401 } });
  const job = await container.submitGated();
  await job.open();
  await vi.waitFor(async () => expect((await client.outbox()).alarms).toHaveLength(1), { timeout: 30_000 });
  const given = await runCli(folder, ["outbox", "--give-up", job.id, ...here()], env);
  expect(given).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(`The end of ${job.id} is reported no`) });
  await expect.poll(async () => (await client.job(job.id)).status, { timeout: 20_000 }).toBe("completed");
  expect([...app.known.values()].filter(({ status, job_id }) => job_id === job.id && status === "completed")).toEqual(
    [],
  );
  const unknown = await runCli(folder, ["outbox", "--give-up", job.id], env);
  expect(unknown).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`No report of job ${job.id} waits`) });
});

test("a row that this version cannot read is shown with what to do, keeps nothing else, and is given up by its name", async () => {
  const database = await openDatabase(databaseFile(container.runtime.folder), outboxMigrations);
  const insert = database.command(
    "INSERT INTO outbox (id, token, next_try_at_ms, created_at_ms) VALUES (1000, 'end/lake/1', 0, :now)",
  );
  const damage = database.command("INSERT INTO outbox_entries (id, entry) VALUES (1000, '{')");
  await database.write(() => [insert.run({ now: Date.now() }), damage.run()]);
  database.close();
  const alarm = { code: "RESULT_UNREADABLE", step: "read", jobs: 1, needs_mending: true };
  await expect
    .poll(async () => await client.outbox(), { timeout: 15_000 })
    .toMatchObject({ waiting: 1, alarms: [alarm], rows: [], unreadable: [{ job_id: "lake" }] });
  const { json: health } = await container.call("GET", "/health");
  expect(health).toMatchObject({ status: "degraded", problems: [{ part: "delivery", code: "RESULT_UNREADABLE" }] });
  const row = (await client.outbox()).unreadable[0]?.row ?? "";
  for (const options of [[], here()]) {
    const { stdout, stderr } = await runCli(folder, ["outbox", ...options], env);
    expect(stderr).toMatch(
      /RESULT_UNREADABLE \(1 job\): A result in the outbox cannot be read by this version: run the/,
    );
    expect(stderr).toContain(`${row}: of job lake, `);
    expect(`${stdout}${stderr}`).not.toMatch(/and 1 more|Nothing waits/);
    const refused = await runCli(folder, ["outbox", "--give-up", "lake", ...options], env);
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("cannot be read by this version") });
  }
  const job = await container.submitGated();
  app.faults.clear();
  await job.open();
  await expect.poll(async () => (await client.job(job.id)).status, { timeout: 20_000 }).toBe("completed");
  const given = await runCli(folder, ["outbox", "--give-up", row], env);
  expect(given).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(`${row} is given up`) });
  await expect
    .poll(async () => await client.outbox(), { timeout: 20_000 })
    .toMatchObject({ waiting: 0, alarms: [], unreadable: [] });
});
