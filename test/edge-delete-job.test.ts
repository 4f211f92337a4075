import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* A user's own job, deleted for good with its files; and what a waiting one says of its queue. */
let project: TestProject;
let ann: TestUser;
let bob: TestUser;

beforeAll(async () => {
  project = await startProject();
  [ann, bob] = [await project.addUser(), await project.addUser()];
}, 120_000);
afterAll(() => project.stop());
beforeEach(() => project.reset());

async function queueOne(fields: object = {}): Promise<string> {
  const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", ...fields };
  return String((await project.call("queue-job", { body, headers: ann.headers })).body.job_id);
}
const remove = (job_id: unknown, headers = ann.headers) => project.call("delete-job", { body: { job_id }, headers });
const look = (job_id: string) => project.call("job-status", { query: `?job_id=${job_id}`, headers: ann.headers });

/** As a container ends it: with a picture and its thumbnail in the storage. */
async function complete(jobId: string): Promise<void> {
  const folder = `${ann.id}/${jobId}`;
  for (const name of ["0.png", "0.thumb.webp"]) {
    const url = `${project.door.url}/storage/v1/object/sdxl_image_fast/${folder}/${name}`;
    const headers = {
      Authorization: `Bearer ${project.door.serviceKey}`,
      "Content-Type": name.endsWith("png") ? "image/png" : "image/webp",
    };
    expect((await fetch(url, { method: "POST", headers, body: "a picture" })).status).toBe(200);
  }
  const asset = { type: "image", url: `${folder}/0.png`, index: 0, mime_type: "image/png", size_bytes: 9 };
  for (const more of [{ status: "processing" }, { status: "completed", assets: [asset] }])
    await project.database.query("select public.apply_job_callback($1)", [
      { job_id: jobId, attempt: 1, metadata: {}, ...more },
    ]);
}

const objects = () => project.storage.objects().map(({ path }) => path);

test("rows and files of the job go, and nobody else's", async () => {
  const [first, other] = [await queueOne(), await queueOne()];
  await complete(first);
  await complete(other);
  expect(await remove(first)).toMatchObject({ status: 200, body: { success: true, job_id: first, files: 2 } });
  expect(await look(first)).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
  expect(objects().toSorted()).toEqual([`${ann.id}/${other}/0.png`, `${ann.id}/${other}/0.thumb.webp`]);
  expect(await project.database.query("select job_id from ourvidz.assets")).toEqual([{ job_id: other }]);
  expect(await remove(first)).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
  const byProject = { Authorization: `Bearer ${project.door.serviceKey}` };
  expect(await remove(other, byProject)).toMatchObject({ status: 200, body: { files: 2 } });
  expect(objects()).toEqual([]);
});

test("another user's job is not found, and stays", async () => {
  const jobId = await queueOne();
  await complete(jobId);
  expect(await remove(jobId, bob.headers)).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
  expect(await remove("x")).toMatchObject({ status: 404 });
  expect(await remove(undefined)).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
  expect(objects()).toHaveLength(2);
});

test("a job that waits or runs must be cancelled first", async () => {
  const jobId = await queueOne();
  const refusal = (status: string) => ({
    status: 409,
    body: { code: "JOB_NOT_SETTLED", error: expect.stringContaining("cancel it first"), details: { status } },
  });
  expect(await remove(jobId)).toMatchObject(refusal("queued"));
  await project.database.query("select public.apply_job_callback($1)", [
    { job_id: jobId, attempt: 1, metadata: {}, status: "processing" },
  ]);
  expect(await remove(jobId)).toMatchObject(refusal("running"));
});

test("a job whose end no container has reported keeps its files", async () => {
  const jobId = await queueOne();
  await complete(jobId);
  await project.database.query("insert into ourvidz.job_ends (job_id, free_at) values ($1, now())", [jobId]);
  const refusal = { status: 409, body: { code: "JOB_NOT_SETTLED", details: { status: "unreported" } } };
  expect(await remove(jobId)).toMatchObject(refusal);
  const ofJob = () => objects().filter((path) => path.includes(jobId));
  expect(ofJob()).toHaveLength(2);
  await project.database.query("delete from ourvidz.job_ends");
  expect(await remove(jobId)).toMatchObject({ status: 200, body: { files: 2 } });
  expect(ofJob()).toEqual([]);
});

test("a job is not redriven while it is being deleted, and a repeat finishes what was cut short", async () => {
  const jobId = await queueOne();
  for (const status of ["processing", "failed"])
    await project.database.query("select public.apply_job_callback($1)", [
      { job_id: jobId, attempt: 1, metadata: {}, status },
    ]);
  expect(await project.database.query("select public.withdraw_job($1) as outcome", [jobId])).toEqual([
    { outcome: "discarded" },
  ]);
  const redrive = project.database.query("select public.redrive_job($1)", [jobId]);
  await expect(redrive).rejects.toThrow(`Job ${jobId} is being deleted.`);
  const later = { job_id: jobId, attempt: 1, run: 2, metadata: {}, status: "processing" };
  const callback = project.database.query("select public.apply_job_callback($1)", [later]);
  await expect(callback).rejects.toThrow(`Job ${jobId} is being deleted.`);
  expect(await remove(jobId)).toMatchObject({ status: 200, body: { success: true } });
  expect(await look(jobId)).toMatchObject({ status: 404 });
});

test("a waiting job says its place, and that its queue is paused", async () => {
  const [first, second] = [await queueOne(), await queueOne()];
  const jobOf = async (id: string) => (await look(id)).body.job;
  expect(await jobOf(second)).toMatchObject({ queue_position: 2, queue_paused_since: null });
  const since = Date.now();
  await project.container().pauseQueue("sdxl");
  const { queue_paused_since } = Object(await jobOf(first));
  expect(Date.parse(queue_paused_since)).toBeGreaterThanOrEqual(since - 5000);
  await project.container().resumeQueue("sdxl");
  expect(await jobOf(first)).toMatchObject({ queue_position: 1, queue_paused_since: null });
  await complete(first);
  expect(await jobOf(first)).toMatchObject({ status: "completed", queue_position: null, queue_paused_since: null });
});
