import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { viewJob } from "#functions/jobs/job-view.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import { startContainerProcess } from "./support/container-process.ts";
import { startTestRuntime, type TestRuntime, testHandlers, untilEvent } from "./support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";
import { type StorageServer, startStorageServer } from "./support/supabase/storage-server.ts";

/*
 * Containers that deliver to an app: a storage service with Supabase's rules and a callback endpoint that checks
 * signatures, both of which fail as a test says.
 */
const megabyte = 1024 * 1024;

let storage: StorageServer;
let app: CallbackServer;
let folder: string;
beforeEach(async () => {
  storage = await startStorageServer({
    buckets: [
      { id: "noop", allowedMimeTypes: ["text/plain"] },
      { id: "tiny", fileSizeLimit: 10 },
    ],
  });
  app = await startCallbackServer();
  folder = await mkdtemp(join(tmpdir(), "ourvidz-app-"));
});
afterEach(async () => {
  await storage.close();
  await app.close();
  await rm(folder, { recursive: true, force: true });
});

function environment() {
  return {
    DATA_DIR: folder,
    HANDLERS_DIR: testHandlers,
    SUPABASE_URL: storage.url,
    SUPABASE_SERVICE_KEY: storage.secretKey,
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
    HEARTBEAT_SECONDS: "0",
  };
}

const polling = { timeout: 30_000 };
const callbacksOf = (jobId: string) => app.arrived.filter(({ callback }) => callback.job_id === jobId);
const finalsOf = (jobId: string) => callbacksOf(jobId).filter(({ callback }) => callback.status !== "processing");

describe("a container that is killed", () => {
  let embedded: Embedded;
  beforeEach(async () => {
    embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
  });
  afterEach(() => embedded.close());

  async function submit(config: Record<string, unknown>): Promise<string> {
    const id = randomUUID();
    await embedded.source.enqueue(jobEnvelope.parse({ id, type: "noop", user_id: "ann", config }), { worker: "test" });
    return id;
  }

  it("in the middle of an upload, and between upload and callback, leaves both to the next one", {
    timeout: 120_000,
  }, async () => {
    // The large file gets stuck half way; the app says nothing to anybody.
    storage.faults.add(
      { method: "PATCH", does: { cutAfterBytes: 20 * megabyte } },
      { method: "HEAD", does: { hang: true } },
    );
    app.faults.add({ times: 1000, does: { hang: true } });
    const large = await submit({ asset_bytes: 32 * megabyte });
    const small = await submit({});
    const first = startContainerProcess(environment());
    const isStuck = () => storage.requests.some(({ method }) => method === "HEAD");
    const isStored = () => storage.find("noop", `ann/${small}/0.txt`) !== undefined;
    await expect.poll(() => isStuck() && isStored(), { timeout: 60_000, message: first.log() }).toBe(true);
    await first.kill();
    app.faults.clear();

    const second = startContainerProcess(environment());
    const statusOf = async (id: string) => (await embedded.source.get(id))?.status;
    await expect
      .poll(async () => [await statusOf(large), await statusOf(small)], { timeout: 60_000 })
      .toEqual(["completed", "completed"]);
    expect(await second.stop(), second.log()).toBe(0);

    expect(
      storage
        .objects()
        .map(({ path }) => path)
        .sort(),
    ).toEqual([`ann/${large}/0.txt`, `ann/${small}/0.txt`].sort());
    expect((await storage.read("noop", `ann/${large}/0.txt`)).equals(Buffer.alloc(32 * megabyte))).toBe(true);
    // One upload of the large file, which went on from where it was.
    expect(
      storage.requests.filter(({ method, path }) => method === "POST" && path.endsWith("/resumable")),
    ).toHaveLength(1);
    expect(storage.uploadedBytes()).toBeLessThan(33 * megabyte);
    for (const id of [large, small]) {
      expect(finalsOf(id).map(({ callback }) => callback.status)).toEqual(["completed"]);
      // Nothing was computed again.
      expect(await embedded.source.get(id)).toMatchObject({ attempt: 1 });
    }
    expect(embedded.callbacks.of(small).at(-1)).toMatchObject({ status: "completed" });
    expect(await readdir(join(folder, "work"))).toEqual([]);
  });
});

describe("a container", () => {
  let runtime: TestRuntime;
  beforeEach(async () => {
    runtime = await startTestRuntime(environment());
  });
  afterEach(() => runtime.stop());

  it("stores a job's files with the app, tells it, and shows addresses that can be opened", async () => {
    const id = await runtime.submit("noop", {}, { user_id: "ann" });
    const record = await runtime.ended(id);
    expect(storage.find("noop", `ann/${id}/0.txt`)).toMatchObject({ mimeType: "text/plain" });
    expect(callbacksOf(id).at(-1)?.callback).toMatchObject({
      status: "completed",
      assets: [{ url: `ann/${id}/0.txt`, mime_type: "text/plain" }],
    });
    const [asset] = (await viewJob(record, runtime)).assets;
    expect(asset?.path).toBe(`ann/${id}/0.txt`);
    expect(await (await fetch(asset?.url ?? "")).text()).toBe(`${id} a quiet lake\n`);
    // Nothing of it stays here but the record.
    expect(await readdir(join(folder, "work"))).toEqual([]);
    expect(await readdir(join(folder, "files"))).toEqual([]);
  });

  it("fails a job whose file the app's storage never takes, and says why", async () => {
    const id = await runtime.submit("noop", {}, { user_id: "ann", bucket: "tiny" });
    expect(await runtime.ended(id)).toMatchObject({ status: "failed", error: { code: "ASSET_REFUSED" } });
    expect(finalsOf(id).map(({ callback }) => callback)).toMatchObject([
      { status: "failed", assets: [], error_message: expect.stringContaining("raise the limit") },
    ]);
    expect(storage.objects()).toEqual([]);
  });

  it("delivers the others while one job's bucket is missing", { timeout: 60_000 }, async () => {
    const stuck = await runtime.submit("noop", {}, { user_id: "ann", bucket: "missing" });
    await expect.poll(() => storage.requests.some(({ path }) => path.includes(stuck)), polling).toBe(true);
    const next = await runtime.submit("noop", {}, { user_id: "ann" });
    expect(await runtime.ended(next)).toMatchObject({ status: "completed" });
    expect(await runtime.queue.get(stuck)).toMatchObject({ status: "running" });
  });

  it("tells a slow app of progress at most once a second, and of the end last", async () => {
    app.faults.add({ times: 1000, does: { delayMs: 400 } });
    const id = await runtime.submit("noop", { steps: 60, step_ms: 50 });
    await runtime.ended(id);
    const callbacks = callbacksOf(id);
    expect(callbacks.at(-1)?.callback.status).toBe("completed");
    expect(finalsOf(id)).toHaveLength(1);
    const progress = callbacks.filter(({ callback }) => callback.status === "processing");
    // The start, and then one for each second of three or more.
    expect(progress.length).toBeGreaterThanOrEqual(3);
    const tookMs = (callbacks.at(-1)?.atMs ?? 0) - (callbacks[0]?.atMs ?? 0);
    expect(progress.length).toBeLessThanOrEqual(tookMs / 1000 + 2);
    const values = progress.map(({ callback }) => callback.metadata.progress ?? 0);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(app.maxAtOnce()).toBe(1);
  });

  it("has the result safe while progress of it still hangs, and goes on with the next job", async () => {
    app.faults.add({ times: 2, does: { hang: true } });
    const first = await runtime.submit("noop");
    const second = await runtime.submit("noop");
    await untilEvent(runtime, second, (event) => event.kind === "progress");
    // The first one has ended and is recorded; its file is stored while its progress is waited for.
    expect(runtime.delivery.pending).toBeGreaterThanOrEqual(1);
    await expect.poll(() => storage.find("noop", `anonymous/${first}/0.txt`)).toBeDefined();
    expect(finalsOf(first)).toEqual([]);
    const records = await Promise.all([runtime.ended(first), runtime.ended(second)]);
    expect(records.every(({ status }) => isSettled(status))).toBe(true);
    for (const id of [first, second])
      expect(finalsOf(id).map(({ callback }) => callback.status)).toEqual(["completed"]);
  });
});
