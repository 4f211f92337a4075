import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "#cli/testing/run-cli.ts";
import { type ContainerProcess, startContainerProcess } from "./support/container-process.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* An installation without Redis: containers claim their jobs from the project's database. Every part is a real one. */

const polling = { timeout: 60_000, interval: 100 };
const handlers = fileURLToPath(new URL("./support/app-handlers", import.meta.url));

let project: TestProject;
let ann: TestUser;
let folder: string;
const containers = new Map<string, ContainerProcess>();

const environment = () => ({
  SOURCES: "supabase",
  SUPABASE_URL: project.door.url,
  SUPABASE_SERVICE_KEY: project.door.secretKey,
});

function start(name: string): ContainerProcess {
  const container = startContainerProcess({
    ...environment(),
    DATA_DIR: join(folder, name),
    WORKER_ID: name,
    HANDLERS_DIR: handlers,
    WORKERS: "wan",
    LEASE_SECONDS: "3",
    SHUTDOWN_GRACE_SECONDS: "0",
    JOB_CALLBACK_SECRET: project.callbackSecret,
    HEARTBEAT_SECONDS: "0",
  });
  containers.set(name, container);
  return container;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-no-redis-"));
  project = await startProject({ queue: false, newKeys: true });
  ann = await project.addUser();
  start("first");
}, 120_000);

afterAll(async () => {
  await Promise.all([...containers.values()].map((container) => container.kill()));
  await project.stop();
  await rm(folder, { recursive: true, force: true });
});

async function queue(config: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { status, body } = await project.call("queue-job", {
    headers: ann.headers,
    body: { type: "video_fast", prompt: "a lighthouse at dawn", config: { trace: join(folder, "trace"), ...config } },
  });
  expect([status, body]).toMatchObject([202, { success: true, status: "queued" }]);
  return String(body.job_id);
}

async function rowOf(jobId: string) {
  const [row] = await project.database.query(
    `select status, source, attempt, worker_id, lease_token, error, (select count(*)::int from ourvidz.assets where job_id = jobs.id) as assets
       from ourvidz.jobs where id = $1`,
    [jobId],
  );
  return row;
}

const becomes = (jobId: string, status: string) =>
  expect.poll(async () => (await rowOf(jobId))?.status, { ...polling, message: `job ${jobId}` }).toBe(status);

const attemptsOf = (jobId: string) =>
  project.database.query("select worker_id, outcome from ourvidz.job_attempts where job_id = $1 order by sequence", [
    jobId,
  ]);

describe("without Redis", { timeout: 120_000 }, () => {
  test("a user's job is claimed, made, stored, told of and settled", async () => {
    const jobId = await queue();
    await becomes(jobId, "completed");
    // The callback comes first, and then the container settles its lease.
    await expect.poll(async () => (await rowOf(jobId))?.lease_token, polling).toBeNull();
    expect(await rowOf(jobId)).toMatchObject({ source: "supabase", attempt: 1, worker_id: "first", assets: 1 });
    expect(project.storage.find("video_fast", `${ann.id}/${jobId}/0.mp4`)).toMatchObject({ sizeBytes: 100_000 });
    expect(await attemptsOf(jobId)).toEqual([{ worker_id: "first", outcome: "completed" }]);
    expect(await project.database.query("select 1 from ourvidz.usage where job_id = $1", [jobId])).toHaveLength(1);
  });

  test("a job waits for the one that it depends on", async () => {
    const first = await queue({ steps: 3, step_ms: 200 });
    const job = { id: randomUUID(), type: "video_fast", prompt: "the lighthouse at noon", user_id: ann.id };
    const second = { ...job, depends_on: [first], config: { trace: join(folder, "trace") } };
    await project.database.query("select public.enqueue_job($1, $2)", [second, { source: "supabase" }]);
    await becomes(job.id, "completed");
    const [order] = await project.database.query(
      `select (select settled_at from ourvidz.jobs where id = $1) <= (select started_at from ourvidz.jobs where id = $2) as waited`,
      [first, job.id],
    );
    expect(order).toEqual({ waited: true });
  });

  test("a user ends a running job", async () => {
    const jobId = await queue({ steps: 150, step_ms: 400 });
    await becomes(jobId, "running");
    const { status, body } = await project.call("cancel-job", { headers: ann.headers, body: { job_id: jobId } });
    expect([status, body]).toMatchObject([202, { outcome: "requested" }]);
    await becomes(jobId, "cancelled");
    expect(await rowOf(jobId)).toMatchObject({ assets: 0 });
  });

  test("a job whose container is killed runs in another one, the attempt charged", async () => {
    const jobId = await queue({ steps: 20, step_ms: 200 });
    await becomes(jobId, "running");
    await containers.get("first")?.kill();
    start("second");
    await becomes(jobId, "completed");
    expect(await rowOf(jobId)).toMatchObject({ attempt: 2, worker_id: "second", assets: 1 });
    expect(await attemptsOf(jobId)).toMatchObject([{ outcome: "expired" }, { outcome: "completed" }]);
  });

  test("a job that a stopping container cannot finish is given back, uncharged", async () => {
    const jobId = await queue({ steps: 30, step_ms: 200 });
    await becomes(jobId, "running");
    const stopped = containers.get("second")?.stop();
    start("third");
    expect(await stopped).toBe(0);
    await becomes(jobId, "completed");
    expect(await rowOf(jobId)).toMatchObject({ attempt: 1, worker_id: "third" });
    expect(await attemptsOf(jobId)).toMatchObject([{ outcome: "released" }, { outcome: "completed" }]);
  });

  test("the command line enqueues, lists, shows, cancels and retries", async () => {
    await containers.get("third")?.kill();
    const { SOURCES: _, ...env } = environment();
    const cli = async (...args: readonly string[]) => {
      const { exitCode, stdout, stderr } = await runCli(folder, [...args, "--supabase", "--json"], {
        ...env,
        HANDLERS_DIR: handlers,
      });
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      const answer: unknown = JSON.parse(stdout);
      return answer;
    };
    const jobId = randomUUID();
    const job = { id: jobId, type: "video_fast", prompt: "a pond", config: { trace: "none" } };
    await project.database.query("select public.enqueue_job($1, $2)", [job, { source: "supabase" }]);
    expect(await cli("enqueue", "video_fast", "a quiet lake", "--config", '{"trace":"none"}')).toMatchObject({
      created: true,
    });
    expect(await cli("jobs", "--status", "queued")).toMatchObject({
      jobs: [{ prompt: "a quiet lake" }, { job_id: jobId }],
    });
    expect(await cli("cancel", jobId)).toMatchObject({ status: "cancelled" });
    await project.database.query(
      "update ourvidz.jobs set status = 'failed', settled_at = now() where status = 'queued'",
    );
    const { jobs } = Object.assign({ jobs: [{ job_id: "" }] }, await cli("jobs", "--status", "failed"));
    expect(await cli("retry", jobs[0]?.job_id ?? "")).toMatchObject({ status: "queued" });
    expect(await cli("job", jobs[0]?.job_id ?? "")).toMatchObject({ status: "queued", attempt: 0 });
  });
});
