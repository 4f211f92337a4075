import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
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
  storage = await startStorageServer({ buckets: [{ id: "references" }], nowMs: () => nowMs });
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
