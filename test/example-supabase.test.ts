import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Backend } from "../examples/next/lib/backend.ts";
import { supabaseBackend } from "../examples/next/lib/supabase-backend.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/*
 * The Supabase side of the app to copy, against real edge functions and a real database. Realtime is not there, so that it looks
 * itself; nor does the storage of the tests sign addresses for users.
 */
let project: TestProject;
let ann: TestUser;

beforeAll(async () => {
  project = await startProject();
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(() => project.reset());

function backendOf({ token }: TestUser): Backend {
  const { url, anonKey } = project.door;
  return supabaseBackend(createClient(url, anonKey, { accessToken: async () => token }));
}

/** As a container ends it. */
async function complete(jobId: string): Promise<void> {
  const callback = { job_id: jobId, attempt: 1, metadata: {} };
  const path = `${ann.id}/${jobId}/0.png`;
  const asset = { type: "image", url: path, index: 0, mime_type: "image/png", size_bytes: 3 };
  for (const more of [{ status: "processing" }, { status: "completed", assets: [asset] }])
    await project.database.query("select public.apply_job_callback($1)", [{ ...callback, ...more }]);
}

test("makes a job, says that nobody offers its type, and cancels it", async () => {
  const backend = backendOf(ann);
  const id = await backend.createJob({ prompt: "a harbour" });
  expect(await backend.job(id)).toMatchObject({
    status: "queued",
    prompt: "a harbour",
    waitingFor: "sdxl_image_fast",
    pictures: [],
  });
  await backend.cancelJob(id);
  expect(await backend.jobs(5)).toMatchObject([{ id, status: "cancelled" }]);
  await expect(backend.createJob({ prompt: "a".repeat(20_000) })).rejects.toThrow("prompt");
});

test("follows a job to its end without Realtime, too, and shows it to its user alone", async () => {
  const backend = backendOf(ann);
  const id = await backend.createJob({ prompt: "a mill" });
  const seen: string[] = [];
  const stop = backend.followJob(id, ({ status }) => seen.push(status));
  await expect.poll(() => seen).toContain("queued");
  await complete(id);
  await expect.poll(() => seen.at(-1)).toBe("completed");
  stop();
  expect(await backend.jobs(5)).toMatchObject([{ id, status: "completed", prompt: "a mill" }]);
  const bob = backendOf(await project.addUser());
  expect(await bob.jobs(5)).toEqual([]);
  await expect(bob.job(id)).rejects.toThrow("There is no such job.");
});

test("deletes a job for good, when it has ended", async () => {
  const backend = backendOf(ann);
  const id = await backend.createJob({ prompt: "a bridge" });
  expect(await backend.job(id)).toMatchObject({ status: "queued", place: 1 });
  await expect(backend.deleteJob(id)).rejects.toThrow("cancel it first");
  await backend.cancelJob(id);
  await backend.deleteJob(id);
  expect(await backend.jobs(5)).toEqual([]);
});

test("uploads a reference picture, which a job then names", async () => {
  const backend = backendOf(ann);
  const file = new File([Buffer.from("\u0089PNG, as far as this goes", "latin1")], "a.png", { type: "image/png" });
  const reference = await backend.uploadReference(file);
  expect(reference).toMatch(/^input:[0-9a-f]{64}$/);
  const id = await backend.createJob({ prompt: "a green apple", reference });
  const [row] = await project.database.query("select element from ourvidz.jobs where id = $1", [id]);
  expect(row?.element).toMatchObject({ metadata: { reference_image_url: reference } });
  expect(project.storage.objects()).toMatchObject([{ bucket: "inputs", mimeType: "image/png" }]);
});
