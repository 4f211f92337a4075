import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { signCallback } from "#contract/signature.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

let project: TestProject;
let ann: TestUser;

beforeAll(async () => {
  project = await startProject();
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(() => project.reset());

async function queueOne(): Promise<string> {
  const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
  return String((await project.call("queue-job", { body, headers: ann.headers })).body.job_id);
}
const cancel = (job_id: unknown, headers = ann.headers) => project.call("cancel-job", { body: { job_id }, headers });
const look = async (job_id: string, headers = ann.headers) =>
  project.call("job-status", { query: `?job_id=${job_id}`, headers });
const take = async () => (await project.container().take([{ worker: "sdxl", slots: 9 }])).leases;

async function report(callback: object) {
  const body = new TextEncoder().encode(JSON.stringify(callback));
  const signed = await signCallback(project.callbackSecret, body);
  const headers = { Authorization: `Bearer ${project.door.serviceKey}`, ...signed };
  return project.call("job-callback", { body, headers });
}

describe("cancel-job", () => {
  test("ends a job that waits on Redis, in both places", async () => {
    const jobId = await queueOne();
    expect(await cancel(jobId)).toMatchObject({ status: 200, body: { job_id: jobId, outcome: "cancelled" } });
    expect(await look(jobId)).toMatchObject({ body: { job: { status: "cancelled", cancel_requested: true } } });
    expect(await take()).toEqual([]);
    expect(await cancel(jobId)).toMatchObject({ status: 409, body: { code: "JOB_ALREADY_SETTLED" } });
  });

  test("reaches the container that runs the job, which says when it ended", async () => {
    const jobId = await queueOne();
    const source = project.container();
    const {
      leases: [lease],
    } = await source.take([{ worker: "sdxl", slots: 1 }]);
    if (lease === undefined) throw new Error("the job was due");
    await report({ job_id: jobId, status: "processing", attempt: 1, assets: [], metadata: { progress: 0.1 } });
    expect(await cancel(jobId)).toMatchObject({ status: 202, body: { outcome: "requested" } });
    expect(await source.renew([{ lease }])).toEqual(["cancelled"]);
    expect(await look(jobId)).toMatchObject({ body: { job: { status: "running", cancel_requested: true } } });
    await report({ job_id: jobId, status: "cancelled", attempt: 1, assets: [] });
    expect(await look(jobId)).toMatchObject({ body: { job: { status: "cancelled" } } });
  });

  test("ends a job that is still in the outbox, and what was pushed of it is dropped", async () => {
    project.faults.queue = () => ({ kind: "drop", at: "after" });
    const jobId = await queueOne();
    project.faults.queue = undefined;
    expect(await cancel(jobId)).toMatchObject({ status: 200, body: { outcome: "cancelled" } });
    expect(await project.database.query("select 1 from ourvidz.queue_outbox")).toEqual([]);
    expect(await take()).toEqual([]);
  });

  test("ends a job that was cancelled on Redis before, by whoever did not come to say so", async () => {
    const jobId = await queueOne();
    await project.container().cancel(jobId);
    expect(await look(jobId)).toMatchObject({ body: { job: { status: "queued" } } });
    expect(await cancel(jobId)).toMatchObject({ status: 200, body: { outcome: "cancelled" } });
    expect(await look(jobId)).toMatchObject({ body: { job: { status: "cancelled" } } });
  });

  test("says when the queue is away, and may be asked again", async () => {
    const jobId = await queueOne();
    project.faults.queue = () => ({ kind: "drop", at: "before" });
    const refused = await cancel(jobId);
    expect(refused).toMatchObject({ status: 503, body: { code: "QUEUE_UNREACHABLE" } });
    expect(refused.headers.get("retry-after")).toBe("10");
    expect(await look(jobId)).toMatchObject({ body: { job: { status: "queued", cancel_requested: true } } });
    project.faults.queue = undefined;
    expect(await cancel(jobId)).toMatchObject({ status: 200, body: { outcome: "cancelled" } });
  });

  test("is for the job's user, and for the project", async () => {
    const jobId = await queueOne();
    const bob = await project.addUser();
    expect(await cancel(jobId, bob.headers)).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
    expect(await look(jobId, bob.headers)).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
    const service = { Authorization: `Bearer ${project.door.serviceKey}` };
    expect(await look(jobId, service)).toMatchObject({ status: 200, body: { job: { status: "queued" } } });
    expect(await cancel(jobId, service)).toMatchObject({ status: 200, body: { outcome: "cancelled" } });
  });

  test("refuses what is no job's id", async () => {
    expect(await cancel("job-17")).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
    expect(await cancel(undefined)).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    expect(await look("x' or '1'='1")).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
  });
});

describe("job-status", () => {
  test("shows a job with its files", async () => {
    const jobId = await queueOne();
    const path = `${ann.id}/${jobId}/0.png`;
    const assets = [
      { type: "image", url: path, index: 0, mime_type: "image/png", size_bytes: 7, metadata: { seed: 0 } },
    ];
    await report({ job_id: jobId, status: "completed", attempt: 1, assets, metadata: { generation_time: 2 } });
    const { status, body } = await look(jobId);
    expect(status).toBe(200);
    expect(body.job).toMatchObject({
      job_id: jobId,
      status: "completed",
      type: "sdxl_image_fast",
      generation_seconds: 2,
    });
    expect(body.job).toMatchObject({ assets: [{ index: 0, bucket: "sdxl_image_fast", path, metadata: { seed: 0 } }] });
    const posted = await project.call("job-status", { body: { job_id: jobId }, headers: ann.headers });
    expect(posted.body).toEqual(body);
  });
});

test("without a queue on Redis, jobs wait in the database for containers to claim them", {
  timeout: 60_000,
}, async () => {
  const alone = await startProject({ queue: false });
  try {
    const { headers } = await alone.addUser();
    const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
    const queued = await alone.call("queue-job", { body, headers });
    expect(queued).toMatchObject({ status: 202, body: { status: "queued", queue_position: 1 } });
    expect(await alone.database.query("select source, status from ourvidz.jobs")).toEqual([
      { source: "supabase", status: "queued" },
    ]);
    expect(await alone.database.query("select 1 from ourvidz.queue_outbox")).toEqual([]);
    const { job_id } = queued.body;
    await alone.database.query("update ourvidz.jobs set source = 'upstash'");
    const refused = await alone.call("cancel-job", { body: { job_id }, headers });
    expect([refused.status, refused.body.code]).toEqual([500, "CONFIG_INVALID"]);
    await alone.database.query("update ourvidz.jobs set source = 'supabase'");
    expect(await alone.call("cancel-job", { body: { job_id }, headers })).toMatchObject({
      body: { outcome: "cancelled" },
    });
  } finally {
    await alone.stop();
  }
});
