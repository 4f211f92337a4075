import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { signCallback } from "#contract/signature.ts";
import { readConfig } from "#runtime/container/config.ts";
import type { JobQueue, JobSource } from "#runtime/sources/job-source.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* What an operator does at a container to jobs of an app, whose queue is on Redis and whose rows are in the database. */
let project: TestProject;
let ann: TestUser;
let source: JobSource & JobQueue;

beforeAll(async () => {
  project = await startProject();
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(async () => {
  await project.reset();
  source = await connect();
  return () => source.close();
});

async function connect(changes: Record<string, string> = {}): Promise<JobSource & JobQueue> {
  const config = readConfig(
    {
      UPSTASH_REDIS_REST_URL: project.gateway.url,
      UPSTASH_REDIS_REST_TOKEN: project.gateway.token,
      SUPABASE_URL: project.door.url,
      SUPABASE_SERVICE_KEY: project.door.serviceKey,
      ...changes,
    },
    () => "container-1",
  );
  const [configured] = config.sources;
  const connected = await configured?.connect({
    workers: ["sdxl"],
    embedded: () => Promise.reject(new Error("unused")),
  });
  if (!connected?.queue) throw new Error("the queue is configured");
  return Object.assign(connected.source, connected.queue);
}

async function queueOne(): Promise<string> {
  const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
  return String((await project.call("queue-job", { body, headers: ann.headers })).body.job_id);
}

async function tell(callback: object) {
  const body = new TextEncoder().encode(JSON.stringify({ attempt: 1, assets: [], ...callback }));
  const signed = await signCallback(project.callbackSecret, body);
  const headers = { Authorization: `Bearer ${project.door.serviceKey}`, ...signed };
  return (await project.call("job-callback", { body, headers })).body;
}

async function failOne(): Promise<string> {
  const job_id = await queueOne();
  const {
    leases: [lease],
  } = await source.take([{ worker: "sdxl", slots: 1 }]);
  if (lease === undefined) throw new Error("the job was due");
  await tell({ job_id, status: "failed", error_message: "no memory" });
  await source.fail(lease, { code: "OUT_OF_MEMORY", message: "no memory" });
  return job_id;
}

const rowOf = async (jobId: string) =>
  (await project.database.query("select status, attempt from public.jobs where id = $1", [jobId]))[0];

describe("a job that is redriven at a container", () => {
  test("is told to its user to the end", async () => {
    const job_id = await failOne();
    await source.redrive(job_id);
    expect(await rowOf(job_id)).toEqual({ status: "queued", attempt: 0 });
    expect(await source.take([{ worker: "sdxl", slots: 1 }])).toMatchObject({
      leases: [{ jobId: job_id, attempt: 1 }],
    });
    const assets = [{ type: "image", url: `${ann.id}/${job_id}/0.png`, index: 0 }];
    expect(await tell({ job_id, status: "completed", assets })).not.toHaveProperty("skipped");
    expect(await rowOf(job_id)).toEqual({ status: "completed", attempt: 1 });
  });

  test("stays failed in both places while the database is away", async () => {
    const job_id = await failOne();
    project.faults.door = (path) => (path.endsWith("/rpc/redrive_job") ? { status: 503, body: {} } : undefined);
    await expect(source.redrive(job_id)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
    expect(await source.get(job_id)).toMatchObject({ status: "failed" });
    project.faults.door = undefined;
    await source.redrive(job_id);
    expect(await rowOf(job_id)).toEqual({ status: "queued", attempt: 0 });
  });

  test("keeps its row when it is not there any more to be redriven", async () => {
    const job_id = await failOne();
    await project.gateway.client().flushall();
    await expect(source.redrive(job_id)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    expect(await rowOf(job_id)).toMatchObject({ status: "failed" });
  });
});

describe("a job that is cancelled at a container", () => {
  test("is told to its user, also when the database was away at first", async () => {
    const job_id = await queueOne();
    project.faults.door = (path) => (path.endsWith("/rpc/request_cancel") ? { status: 503, body: {} } : undefined);
    await expect(source.cancel(job_id)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
    project.faults.door = undefined;
    await expect(source.cancel(job_id)).rejects.toMatchObject({ code: "JOB_ALREADY_SETTLED" });
    expect(await rowOf(job_id)).toMatchObject({ status: "cancelled" });
    const other = await queueOne();
    expect(await source.cancel(other)).toBe("cancelled");
    expect(await rowOf(other)).toMatchObject({ status: "cancelled" });
  });

  test("is told to its user when the container that ran it dies, by the next one that can", async () => {
    const job_id = await queueOne();
    const dying = await connect({ UPSTASH_LEASE_SECONDS: "1" });
    await dying.take([{ worker: "sdxl", slots: 1 }]);
    await dying.close();
    await tell({ job_id, status: "processing" });
    expect(await source.cancel(job_id)).toBe("requested");
    let refused = 0;
    project.faults.door = (path) => {
      if (!path.endsWith("/rpc/request_cancel")) return undefined;
      refused += 1;
      return { status: 503, body: {} };
    };
    const take = async () => (await source.take([{ worker: "sdxl", slots: 1 }])).leases;
    await expect.poll(async () => [await take(), refused > 0], { timeout: 10_000, interval: 200 }).toEqual([[], true]);
    expect(await source.get(job_id)).toMatchObject({ status: "cancelled" });
    expect(await rowOf(job_id)).toMatchObject({ status: "running" });
    project.faults.door = undefined;
    await expect
      .poll(async () => [await take(), (await rowOf(job_id))?.status], { timeout: 10_000, interval: 200 })
      .toEqual([[], "cancelled"]);
  });

  test("may be one that the app has no row of", async () => {
    const { jobId } = await source.enqueue(
      {
        id: "picture-1",
        type: "sdxl_image_fast",
        prompt: "a lake",
        user_id: "ann",
        priority: 0,
        config: {},
        metadata: {},
      },
      { worker: "sdxl" },
    );
    expect(await source.cancel(jobId)).toBe("cancelled");
    const unknown = "5b0a4b0e-6f7e-4f6e-9d3c-0f4f1d0b2a11";
    await source.enqueue(
      { id: unknown, type: "sdxl_image_fast", prompt: "a lake", user_id: "ann", priority: 0, config: {}, metadata: {} },
      { worker: "sdxl" },
    );
    expect(await source.cancel(unknown)).toBe("cancelled");
  });
});
