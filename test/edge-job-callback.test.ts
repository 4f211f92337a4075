import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { callbackResponse } from "#contract/callback.ts";
import { signCallback } from "#contract/signature.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

let project: TestProject;
let ann: TestUser;
let jobId: string;

beforeAll(async () => {
  project = await startProject();
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(async () => {
  await project.reset();
  const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
  const queued = await project.call("queue-job", { body, headers: ann.headers });
  jobId = String(queued.body.job_id);
});

interface Sending {
  readonly headers?: Readonly<Record<string, string>>;
  readonly secret?: string;
  readonly atMs?: number;
  /** Headers that are not sent. */
  readonly without?: readonly string[];
}

async function send(callback: unknown, { headers, secret = project.callbackSecret, atMs, without = [] }: Sending = {}) {
  const body = new TextEncoder().encode(typeof callback === "string" ? callback : JSON.stringify(callback));
  const signed = await signCallback(secret, body, atMs);
  const all = { Authorization: `Bearer ${project.door.serviceKey}`, ...signed, ...headers };
  const sent = Object.fromEntries(Object.entries(all).filter(([name]) => !without.includes(name)));
  return project.call("job-callback", { body, headers: sent });
}

const processing = (progress: number, attempt = 1) => ({
  job_id: jobId,
  status: "processing",
  attempt,
  assets: [],
  metadata: { progress },
});
const asset = (index: number, name = `${index}.png`) => ({
  type: "image",
  url: `${ann.id}/${jobId}/${name}`,
  thumbnail_url: `${ann.id}/${jobId}/${index}.thumb.webp`,
  mime_type: "image/png",
  size_bytes: 1000,
  index,
});
const completed = (assets: readonly unknown[] = [asset(0), asset(1)]) => ({
  job_id: jobId,
  status: "completed",
  attempt: 1,
  assets,
  metadata: { seed: 0, generation_time: 15.5, job_type: "sdxl_image_fast" },
});
const row = async () => (await project.database.query("select * from ourvidz.jobs where id = $1", [jobId]))[0];
const assets = () => project.database.query("select index, path from ourvidz.assets order by index");

describe("job-callback", () => {
  test("moves a job to its end, and says what became of it", async () => {
    expect((await send(processing(0.4))).status).toBe(200);
    expect(await row()).toMatchObject({ status: "running", progress: 0.4 });
    const { status, body } = await send(completed());
    expect(status).toBe(200);
    const { debug, ...answer } = callbackResponse.parse(body);
    expect(answer).toEqual({ success: true, message: "The job is completed." });
    expect(debug).toMatchObject({ job_id: jobId, jobStatus: "completed", jobType: "sdxl_image_fast", format: "image" });
    expect(debug).toMatchObject({ quality: "fast", isSDXL: true, isEnhanced: false, assetsProcessed: 2 });
    expect(await row()).toMatchObject({ status: "completed", generation_seconds: 15.5 });
    expect(await assets()).toEqual([0, 1].map((index) => ({ index, path: `${ann.id}/${jobId}/${index}.png` })));
  });

  test("changes nothing when it is said again, or comes late or in another order", async () => {
    await send(processing(0.8));
    expect((await send(processing(0.2))).status).toBe(200);
    expect(await row()).toMatchObject({ progress: 0.8 });
    await send(completed());
    const before = await row();
    const failed = { job_id: jobId, status: "failed", attempt: 1, error_message: "too late", assets: [] };
    for (const late of [completed(), processing(0.9), failed, { ...failed, attempt: 2 }]) {
      const { status, body } = await send(late);
      expect([status, body.success, body.skipped]).toEqual([200, true, true]);
    }
    expect(await row()).toEqual(before);
    expect(await project.database.query("select attempt from ourvidz.usage where job_id = $1", [jobId])).toHaveLength(
      1,
    );
  });

  test("takes many at once and ends the job once", async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => send(completed())));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(answers.filter(({ body }) => body.skipped !== true)).toHaveLength(1);
    expect(await assets()).toHaveLength(2);
  });

  test("reads assets that are paths, as older containers send them", async () => {
    expect((await send(completed([`${ann.id}/${jobId}/0.png`]))).status).toBe(200);
    expect(await assets()).toEqual([{ index: 0, path: `${ann.id}/${jobId}/0.png` }]);
  });

  test("keeps why a job failed", async () => {
    const metadata = { error_type: "OUT_OF_MEMORY", job_type: "sdxl_image_fast" };
    await send({ job_id: jobId, status: "failed", attempt: 1, error_message: "no memory", assets: [], metadata });
    expect(await row()).toMatchObject({ status: "failed", error: { code: "OUT_OF_MEMORY", message: "no memory" } });
  });
});

test("job-callback keeps an end whose texts the database cannot keep as they are", async () => {
  const failed = { job_id: jobId, status: "failed", attempt: 1, assets: [], error_message: "stopped at \0 by \ud83e" };
  expect(await send(failed)).toMatchObject({ status: 200 });
  expect(await row()).toMatchObject({ status: "failed", error: { message: "stopped at \ufffd by \ufffd" } });
});

function deep(levels: number): unknown {
  return Array.from({ length: levels }).reduce<unknown>((inner) => ({ inner }), 0);
}

test("job-callback takes what a handler may report: 64 levels and ten thousand values", async () => {
  const metadata = { seed: 0, notes: deep(60), list: Array.from({ length: 9_000 }, (_, n) => n) };
  const { status } = await send({ ...completed(), metadata: { ...completed().metadata, ...metadata } });
  expect(status).toBe(200);
  expect(await row()).toMatchObject({ status: "completed" });
});

describe("job-callback refuses", () => {
  const notSigned = ["X-Callback-Signature", "X-Callback-Signature-V2", "X-Callback-Timestamp"];

  test.each<[string, Sending, number, string]>([
    ["another secret", { secret: "a secret that nobody has agreed upon" }, 401, "signature is wrong"],
    ["no signature", { without: notSigned }, 401, "is not signed"],
    ["a signature of six minutes ago", { atMs: Date.now() - 360_000 }, 401, "more than five minutes ago"],
    ["a signature of tomorrow", { atMs: Date.now() + 86_400_000 }, 401, "more than five minutes ago"],
    ["a wrong service key", { headers: { Authorization: "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA" } }, 403, "service key"],
    ["no key at all", { without: ["Authorization"] }, 401, "service key"],
    [
      "a key of the new kind that is not ours",
      { headers: { Authorization: "Bearer sb_secret_x" } },
      401,
      "service key",
    ],
  ])("%s", async (_what, sending, status, words) => {
    const before = await row();
    const answer = await send(completed(), sending);
    expect(answer.status).toBe(status);
    expect(answer.body.error).toContain(words);
    expect(await row()).toEqual(before);
  });

  test("a dated signature that was changed, though the plain one is right", async () => {
    const answer = await send(completed(), { headers: { "X-Callback-Signature-V2": "t=1,v1=00" } });
    expect([answer.status, answer.body.code]).toEqual([401, "UNAUTHORIZED"]);
  });

  test("a callback whose dated signature was taken off, so that it could be sent again at any time", async () => {
    const plain = await send(completed(), { without: ["X-Callback-Signature-V2", "X-Callback-Timestamp"] });
    expect([plain.status, plain.body.code]).toEqual([401, "UNAUTHORIZED"]);
    expect(plain.body.error).toContain("CALLBACK_SIGNATURES=any");
    expect(await row()).toMatchObject({ status: "queued" });
  });

  test("a failure of the run before, sent again after a redrive", async () => {
    const failed = { job_id: jobId, status: "failed", attempt: 1, run: 1, assets: [], error_message: "no memory" };
    expect((await send(failed)).status).toBe(200);
    // Redriven on Redis, which counts the runs of its jobs: the row hears of it with the first callback of the new run.
    const again = async () => (await send(failed)).body.skipped;
    expect(await again()).toBe(true);
    expect((await send({ ...processing(0.1), run: 2 })).body.skipped).toBeUndefined();
    expect(await again()).toBe(true);
    expect(await row()).toMatchObject({ status: "running", run: 2, attempt: 1, error: null });
  });

  test("users, whoever they are", async () => {
    const answer = await send(completed(), { headers: { Authorization: `Bearer ${ann.token}` } });
    expect([answer.status, answer.body.code]).toEqual([403, "FORBIDDEN"]);
  });

  test("jobs that there are not", async () => {
    for (const job_id of ["2f3c1a52-7d2a-4b5e-9a51-0c9a3bb1d001", "job-17"]) {
      const { status, body } = await send({ ...completed(), job_id });
      expect([status, body.code]).toEqual([404, "JOB_NOT_FOUND"]);
    }
  });

  test.each(["../other/0.png", "x/../../0.png", "/0.png", "\\0.png", ""])("the path %j", async (name) => {
    const other = { ...asset(0), url: name.startsWith("x/") ? `${ann.id}/${jobId}/${name}` : name };
    const { status } = await send(completed([asset(1), other]));
    expect([400, 422]).toContain(status);
    expect(await row()).toMatchObject({ status: "queued" });
    expect(await assets()).toEqual([]);
  });

  test("paths of another user's job", async () => {
    const theirs = { ...asset(0), url: `${(await project.addUser()).id}/${jobId}/0.png` };
    const { status, body } = await send(completed([theirs]));
    expect([status, body.code]).toEqual([422, "ASSET_PATH_REFUSED"]);
    expect(await row()).toMatchObject({ status: "queued" });
  });

  test.each<[string, unknown, number, string]>([
    ["a completion without files", { status: "completed", metadata: { job_type: "image_fast" } }, 400, "assets"],
    ["an unknown status", { status: "done" }, 400, "status"],
    ["an attempt beyond all numbers", { status: "processing", attempt: 1e12 }, 400, "attempt"],
    ["an attempt beyond the database's", { status: "processing", attempt: 2_147_483_648 }, 400, "attempt"],
    ["a run beyond the database's", { status: "processing", run: 1e12 }, 400, "run"],
    ["half an attempt", { status: "processing", attempt: 1.5 }, 400, "attempt"],
    ["metadata a hundred levels deep", { status: "processing", metadata: deep(100) }, 400, "nested deeper"],
    ["a progress of 7", { status: "processing", metadata: { progress: 7 } }, 400, "metadata.progress"],
  ])("%s", async (_what, fields, status, words) => {
    const answer = await send({ job_id: jobId, attempt: 1, assets: [], ...Object(fields) });
    expect([answer.status, answer.body.code]).toEqual([status, "INVALID_REQUEST"]);
    expect(answer.body.error).toContain(words);
  });

  test("what is not JSON, or larger than a callback can be", async () => {
    expect(await send("{")).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    expect(await send({ ...completed(), padding: "x".repeat(1_100_000) })).toMatchObject({ status: 413 });
  });
});

test("a body without an end is not taken in", async () => {
  const megabyte = new Uint8Array(1_000_000).fill(0x20);
  for (const [key, status] of [
    [project.door.serviceKey, 413],
    ["nobody's", 401],
  ] as const) {
    let sentMegabytes = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sentMegabytes += 1;
        if (sentMegabytes > 2000) controller.close();
        else controller.enqueue(megabyte);
      },
    });
    const answered = await fetch(`${project.functions.url}/functions/v1/job-callback`, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: endless,
      duplex: "half",
    }).then(
      (response) => response.status,
      // The connection may be cut before the answer is read: what is left is still under way then.
      () => status,
    );
    expect(answered).toBe(status);
    expect(sentMegabytes).toBeLessThan(200);
  }
  const { status } = await send(processing(0.1));
  expect(status).toBe(200);
});

test("what is refused is in the log without its secrets", () => {
  const text = project.functions.logs.join("\n");
  expect(text).toContain("signature is wrong");
  const secrets = [project.door.serviceKey, project.callbackSecret, ann.token, "sha256=", "v1=", "lighthouse"];
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});
