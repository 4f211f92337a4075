import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { signCallback } from "#contract/signature.ts";
import { type ContainerProcess, startContainerProcess } from "./support/container-process.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/*
 * An app and its containers, every part a real one: a user's token → queue-job in Deno → PostgreSQL and Redis → a
 * container with the small model → storage → job-callback → the user's row. Then the same while parts fail.
 */
const MB = 1_000_000;
const polling = { timeout: 60_000, interval: 100 };
const ownHandlers = fileURLToPath(new URL("../handlers", import.meta.url));
const appHandlers = fileURLToPath(new URL("./support/app-handlers", import.meta.url));

let project: TestProject;
let ann: TestUser;
let folder: string;
let trace: string;
let pictures: ContainerProcess;
let videos: ContainerProcess;

function startContainer(name: string, handlers: string, worker: string): ContainerProcess {
  return startContainerProcess({
    DATA_DIR: join(folder, name),
    WORKER_ID: name,
    HANDLERS_DIR: handlers,
    WORKERS: worker,
    UPSTASH_REDIS_REST_URL: project.gateway.url,
    UPSTASH_REDIS_REST_TOKEN: project.gateway.token,
    UPSTASH_LEASE_SECONDS: "10",
    SUPABASE_URL: project.door.url,
    SUPABASE_SERVICE_KEY: project.door.serviceKey,
    JOB_CALLBACK_SECRET: project.callbackSecret,
    HEARTBEAT_SECONDS: "0",
    INPUT_HOSTS_ALLOWED: new URL(project.door.url).host,
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-app-"));
  trace = join(folder, "trace");
  project = await startProject();
  ann = await project.addUser();
  pictures = startContainer("pictures", ownHandlers, "sdxl");
  videos = startContainer("videos", appHandlers, "wan");
}, 120_000);

afterAll(async () => {
  await Promise.all([pictures.kill(), videos.kill()]);
  await project.stop();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => project.storage.faults.clear());

async function queue(type: string, config: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { status, body } = await project.call("queue-job", {
    headers: ann.headers,
    body: { type, prompt: "a lighthouse at dawn", config },
  });
  expect([status, body]).toMatchObject([202, { success: true, status: "queued" }]);
  return String(body.job_id);
}

const queueVideo = (config: Readonly<Record<string, unknown>> = {}) => queue("video_fast", { trace, ...config });

/** The job as its user sees it, through the app's own function. */
async function seen(jobId: string) {
  const { body } = await project.call("job-status", { headers: ann.headers, query: `?job_id=${jobId}` });
  return body;
}

async function rowOf(jobId: string) {
  const [row] = await project.database.query(
    `select status, attempt, progress, error, settled_at, (select count(*)::int from ourvidz.assets where job_id = jobs.id) as assets
       from ourvidz.jobs where id = $1`,
    [jobId],
  );
  return row;
}

const settled = (jobId: string, status: string) =>
  expect.poll(async () => (await rowOf(jobId))?.status, { ...polling, message: `job ${jobId}` }).toBe(status);
const filesOf = (jobId: string) =>
  project.storage
    .objects()
    .filter(({ path }) => path.startsWith(`${ann.id}/${jobId}/`))
    .map(({ bucket, path, version }) => ({ bucket, path: path.split("/").at(-1), version }));
const runsOf = async (jobId: string) =>
  (await readFile(trace, "utf8").catch(() => "")).split("\n").filter((line) => line === jobId).length;

describe("a user of the app", { timeout: 180_000 }, () => {
  test("gets the pictures that were asked for, in storage and in the row", async () => {
    const jobId = await queue("sdxl_image_fast", { num_images: 3, seed: 7 });
    await settled(jobId, "completed");
    expect(await seen(jobId)).toMatchObject({ success: true });
    expect(await rowOf(jobId)).toMatchObject({ attempt: 1, progress: 1, assets: 3, error: null });
    expect(filesOf(jobId)).toHaveLength(6);
    const assets = await project.database.query("select path, metadata from ourvidz.assets where job_id = $1", [jobId]);
    for (const { path, metadata } of assets) {
      const { format, width, height } = await sharp(
        await project.storage.read("sdxl_image_fast", String(path)),
      ).metadata();
      expect(format).toBe("png");
      expect(metadata).toMatchObject({ width, height });
    }
    const usage = await project.database.query("select files, user_id from ourvidz.usage where job_id = $1", [jobId]);
    expect(usage).toEqual([{ files: 3, user_id: ann.id }]);
  });

  test("gets a result that was finished while the callback endpoint was away", async () => {
    const jobId = await queueVideo({ steps: 5, step_ms: 200 });
    await settled(jobId, "running");
    await project.functions.kill();
    await expect.poll(() => filesOf(jobId).length, polling).toBe(1);
    expect(await rowOf(jobId)).toMatchObject({ status: "running" });
    await project.functions.restart();
    await settled(jobId, "completed");
    expect(filesOf(jobId)).toEqual([{ bucket: "video_fast", path: "0.mp4", version: 1 }]);
    expect(await runsOf(jobId)).toBe(1);
  });

  test("gets a file whose upload was cut, sent on from where it was cut", async () => {
    const before = project.storage.uploadedBytes();
    project.storage.faults.add({ method: "PATCH", does: { cutAfterBytes: 48 * MB } });
    const jobId = await queueVideo({ bytes: 80 * MB });
    await settled(jobId, "completed");
    expect(filesOf(jobId)).toEqual([{ bucket: "video_fast", path: "0.mp4", version: 1 }]);
    expect(project.storage.find("video_fast", `${ann.id}/${jobId}/0.mp4`)).toMatchObject({ sizeBytes: 80 * MB });
    // All of it once, and what was under way at the cut a second time.
    expect(project.storage.uploadedBytes() - before).toBeLessThan(95 * MB);
    expect(await runsOf(jobId)).toBe(1);
  });

  test("gets one result of a container that was killed between upload and callback", async () => {
    const jobId = await queueVideo({ steps: 5, step_ms: 200 });
    await settled(jobId, "running");
    await project.functions.kill();
    await expect.poll(() => filesOf(jobId).length, polling).toBe(1);
    await videos.kill();
    await project.functions.restart();
    videos = startContainer("videos", appHandlers, "wan");
    await settled(jobId, "completed");
    expect(await rowOf(jobId)).toMatchObject({ attempt: 1, assets: 1 });
    expect(filesOf(jobId)).toMatchObject([{ bucket: "video_fast", path: "0.mp4" }]);
    expect(await runsOf(jobId)).toBe(1);
  });

  test("finds files in the bucket that the row of their type names, and deletes them there", async () => {
    const name = (bucket: string) =>
      project.database.query("update ourvidz.job_types set bucket = $1 where type = 'video_fast'", [bucket]);
    await name("video_high");
    const jobId = await queueVideo();
    await name("video_fast");
    await settled(jobId, "completed");
    expect(filesOf(jobId)).toEqual([{ bucket: "video_high", path: "0.mp4", version: 1 }]);
    expect(await seen(jobId)).toMatchObject({ job: { assets: [{ bucket: "video_high" }] } });
    const deleted = await project.call("delete-job", { headers: ann.headers, body: { job_id: jobId } });
    expect(deleted).toMatchObject({ status: 200, body: { files: 1 } });
    expect(filesOf(jobId)).toEqual([]);
  });

  test("is not misled by callbacks that come twice or in another order", async () => {
    const jobId = await queueVideo();
    await settled(jobId, "completed");
    const before = await rowOf(jobId);
    const asset = { type: "video", url: `${ann.id}/${jobId}/0.mp4`, index: 0, mime_type: "video/mp4" };
    for (const report of [
      { status: "completed", assets: [asset] },
      { status: "processing", metadata: { progress: 0.2 } },
      { status: "failed", error_message: "too late" },
      { status: "cancelled" },
    ]) {
      const body = Buffer.from(JSON.stringify({ job_id: jobId, attempt: 1, assets: [], metadata: {}, ...report }));
      const answer = await project.call("job-callback", {
        body,
        headers: {
          Authorization: `Bearer ${project.door.serviceKey}`,
          ...(await signCallback(project.callbackSecret, body)),
        },
      });
      expect([answer.status, answer.body]).toMatchObject([200, { success: true, skipped: true }]);
    }
    expect(await rowOf(jobId)).toEqual(before);
  });

  test("ends a running job, and its container is free for the next one", async () => {
    const jobId = await queueVideo({ steps: 150, step_ms: 400 });
    await settled(jobId, "running");
    const { status, body } = await project.call("cancel-job", { headers: ann.headers, body: { job_id: jobId } });
    expect([status, body]).toMatchObject([202, { success: true, outcome: "requested" }]);
    await settled(jobId, "cancelled");
    expect(await rowOf(jobId)).toMatchObject({ assets: 0 });
    expect(filesOf(jobId)).toEqual([]);
    const next = await queueVideo();
    await settled(next, "completed");
  });
});
