import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StorageClient } from "#runtime/delivery/stores/supabase/storage-client.ts";
import { startTestRuntime, type TestRuntime } from "#test/support/runtime.ts";
import { type StorageServer, startStorageServer } from "#test/support/supabase/storage-server.ts";
import { makePicture, sha256 } from "./testing/harness.ts";

/* A job whose reference picture was signed when it was sent, and whose signature had run out when it was taken. */
let nowMs = Date.UTC(2026, 0, 1);
let storage: StorageServer;
let runtime: TestRuntime;
let folder: string;
let picture: Buffer;
let url: string;
const app = createServer((request, response) => {
  request.resume();
  response.end('{"success":true}');
});

beforeAll(async () => {
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const address = app.address();
  storage = await startStorageServer({ buckets: [{ id: "references" }, { id: "inputs" }], nowMs: () => nowMs });
  folder = await mkdtemp(join(tmpdir(), "ourvidz-storage-job-"));
  picture = await makePicture("seagreen");
  url = await upload();
  nowMs += 3600_000;
  runtime = await startTestRuntime({
    HANDLERS_DIR: fileURLToPath(new URL("./testing/handlers", import.meta.url)),
    SOURCES: "sqlite",
    SUPABASE_URL: storage.url,
    SUPABASE_SERVICE_KEY: storage.serviceKey,
    CALLBACK_URL: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/callback`,
  });
});
afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  await storage.close();
  await rm(folder, { recursive: true, force: true });
  app.closeAllConnections();
  app.close();
});

/** Stores the picture as the app does, and returns an address of it that is good for a minute. */
async function upload(): Promise<string> {
  const file = join(folder, "picture.png");
  await writeFile(file, picture);
  const client = new StorageClient({ project: storage, nowMs: () => nowMs });
  const [userId, jobId, path] = ["ada", "sketch", "ada/sketch/0.png"];
  const stored = { bucket: "references", path, userId, jobId, file, mimeType: "image/png" };
  await client.upload({ ...stored, sizeBytes: picture.byteLength }, new AbortController().signal);
  return (await client.sign("references", [path], 60)).get(path) ?? "";
}

const submit = (user_id: string) => runtime.submit("tint", { reference_image_url: url }, { user_id });

it("is done for the user whose picture it is", async () => {
  const record = await runtime.ended(await submit("ada"));
  expect(record).toMatchObject({ status: "completed", result: { metadata: { sha256: sha256(picture), width: 64 } } });
});

it("fails for another user, with a code, and without the token in the message", async () => {
  const record = await runtime.ended(await submit("grace"));
  expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code: "INPUT_EXPIRED" } });
  expect(url).toContain("token=");
  expect(JSON.stringify(record.error)).not.toContain("token=");
});

describe("a file that was uploaded where results go to the app's storage", () => {
  const never = new AbortController().signal;
  const address = () => `input:${sha256(picture)}`;
  const path = () => `ada/inputs/${sha256(picture)}.png`;
  const run = async (userId: string) =>
    runtime.ended(await runtime.submit("tint", { reference_image_url: address() }, { user_id: userId }));

  beforeAll(async () => {
    const content = (async function* () {
      yield picture;
    })();
    const { upload } = await runtime.uploads.add({ userId: "ada", content, signal: never });
    expect(await runtime.uploads.url(upload)).toContain(storage.url);
  });

  it("is in its bucket, where a container that has never seen it reads it", async () => {
    expect(storage.find("inputs", path())).toMatchObject({ mimeType: "image/png", sizeBytes: picture.byteLength });
    expect(await run("ada")).toMatchObject({ status: "completed", result: { metadata: { sha256: sha256(picture) } } });
  });

  it("is not found by another user's job", async () => {
    expect(await run("grace")).toMatchObject({ status: "failed", attempt: 1, error: { code: "INPUT_NOT_FOUND" } });
  });

  it("is refused when it is not what its address says", async () => {
    const file = join(folder, "other.png");
    await writeFile(file, await makePicture("crimson"));
    const client = new StorageClient({ project: storage, nowMs: () => nowMs });
    const stored = { bucket: "inputs", path: path(), userId: "ada", jobId: "inputs", file, mimeType: "image/png" };
    await client.upload({ ...stored, sizeBytes: (await stat(file)).size }, never);
    expect(await run("ada")).toMatchObject({ status: "failed", error: { code: "INPUT_INVALID" } });
  });

  it("is deleted there", async () => {
    expect(await runtime.uploads.remove("ada", sha256(picture))).toBe(1);
    expect(storage.find("inputs", path())).toBeUndefined();
  });
});
