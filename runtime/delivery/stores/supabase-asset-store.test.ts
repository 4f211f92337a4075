import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { chunkBytes, type StorageServer, startStorageServer } from "#test/support/supabase/storage-server.ts";
import type { StoredFile } from "./asset-store.ts";
import { SupabaseAssetStore, type SupabaseAssetStoreOptions } from "./supabase-asset-store.ts";

const log = pino({ level: "silent" });
const never = new AbortController().signal;

let storage: StorageServer;
let folder: string;
beforeAll(async () => {
  storage = await startStorageServer({
    buckets: [
      { id: "films", allowedMimeTypes: ["video/mp4", "image/*"] },
      { id: "small", fileSizeLimit: 100 },
    ],
  });
  folder = await mkdtemp(join(tmpdir(), "ourvidz-store-"));
});
beforeEach(() => storage.faults.clear());
afterAll(async () => {
  await storage.close();
  await rm(folder, { recursive: true, force: true });
});

function newStore(options: Partial<SupabaseAssetStoreOptions> = {}): SupabaseAssetStore {
  return new SupabaseAssetStore({
    project: { url: storage.url, serviceKey: storage.serviceKey },
    log,
    nowMs: Date.now,
    cutRetryDelaysMs: [10, 20],
    ...options,
  });
}

/** A file of that size whose every megabyte differs from the others. */
async function newFile(sizeBytes: number, fields: Partial<StoredFile> = {}): Promise<StoredFile> {
  const jobId = randomUUID();
  const file = join(folder, `${jobId}.mp4`);
  const handle = await open(file, "w");
  await handle.truncate(sizeBytes);
  for (let start = 0; start < sizeBytes; start += 1024 * 1024) {
    await handle.write(randomBytes(Math.min(64, sizeBytes - start)), 0, undefined, start);
  }
  await handle.close();
  return { bucket: "films", path: `ann/${jobId}/0.mp4`, userId: "ann", jobId, file, mimeType: "video/mp4", ...fields };
}

/** The requests that `work` makes. */
async function requestsOf(work: () => Promise<unknown>): Promise<StorageServer["requests"]> {
  const before = storage.requests.length;
  await work();
  return storage.requests.slice(before);
}

async function expectStored({ bucket, path, file }: StoredFile): Promise<void> {
  const handle = await open(file);
  const sent = await handle.readFile();
  await handle.close();
  expect((await storage.read(bucket, path)).equals(sent)).toBe(true);
}

const bytesOf = (requests: StorageServer["requests"]) => requests.reduce((sum, { bytes }) => sum + bytes, 0);

describe("how a file goes", () => {
  it("in one request up to 6 MB", async () => {
    const file = await newFile(chunkBytes);
    const requests = await requestsOf(() => newStore().put(file, never));
    expect(requests.map(({ method, bytes }) => [method, bytes])).toEqual([["POST", chunkBytes]]);
    expect(storage.find("films", file.path)).toMatchObject({ mimeType: "video/mp4", cacheControl: "max-age=3600" });
    await expectStored(file);
  });

  it("above 6 MB in parts of exactly 6 MB", async () => {
    const file = await newFile(2 * chunkBytes + 1);
    const requests = await requestsOf(() => newStore().put(file, never));
    expect(requests.map(({ method, bytes }) => [method, bytes])).toEqual([
      ["POST", 0],
      ["PATCH", chunkBytes],
      ["PATCH", chunkBytes],
      ["PATCH", 1],
    ]);
    expect(storage.find("films", file.path)).toMatchObject({ mimeType: "video/mp4", cacheControl: "max-age=3600" });
    await expectStored(file);
  });
});

describe("an upload that is cut", () => {
  const megabyte = 1024 * 1024;

  it("at 60 % of 80 MB goes on from where it was", async () => {
    const file = await newFile(80 * megabyte);
    storage.faults.add({ method: "PATCH", does: { cutAfterBytes: 48 * megabyte } });
    const requests = await requestsOf(() => newStore().put(file, never));
    expect(requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    expect(requests.filter(({ method }) => method === "HEAD")).toHaveLength(1);
    // What was under way in the cut part beyond its offset is sent twice, and nothing else.
    expect(bytesOf(requests)).toBeGreaterThanOrEqual(80 * megabyte);
    expect(bytesOf(requests)).toBeLessThan(81 * megabyte);
    await expectStored(file);
  });

  it("by the end of the process goes on in the next one", async () => {
    const file = await newFile(20 * megabyte);
    const dying = new AbortController();
    storage.faults.add({ method: "PATCH", path: "resumable", times: 1, does: { cutAfterBytes: 13 * megabyte } });
    storage.faults.add({ method: "HEAD", does: { hang: true } });
    const before = storage.requests.length;
    const first = newStore().put(file, dying.signal);
    await expect.poll(() => storage.requests.slice(before).map(({ method }) => method)).toContain("HEAD");
    dying.abort(new Error("SIGKILL"));
    await expect(first).rejects.toThrow("SIGKILL");

    await newStore().put(file, never);
    const requests = storage.requests.slice(before);
    expect(requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    expect(bytesOf(requests)).toBeLessThan(21 * megabyte);
    await expectStored(file);
  });

  it("begins anew when the service has forgotten it, or the note is not one", async () => {
    const file = await newFile(13 * megabyte);
    const forget = async () => storage.expireUploads();
    const spoil = async () => writeFile(`${file.file}.upload.json`, '{"uploadUrl": 7');
    for (const change of [forget, spoil]) {
      const abort = new AbortController();
      storage.faults.add(
        { method: "PATCH", does: { cutAfterBytes: 7 * megabyte } },
        { method: "HEAD", does: { hang: true } },
      );
      const before = storage.requests.length;
      const first = newStore().put(file, abort.signal);
      await expect.poll(() => storage.requests.slice(before).map(({ method }) => method)).toContain("HEAD");
      abort.abort(new Error("SIGKILL"));
      await expect(first).rejects.toThrow("SIGKILL");
      await change();
      const requests = await requestsOf(() => newStore().put(file, never));
      expect(requests.filter(({ method }) => method === "POST")).toHaveLength(1);
      await expectStored(file);
    }
  });

  it("goes on while the service forgets it", async () => {
    const file = await newFile(13 * megabyte);
    storage.faults.add({ method: "PATCH", does: { status: 410 } });
    const forgotten = newStore().put(file, never);
    await forgotten;
    await expectStored(file);
  });

  it("is sent again when the service has the bytes and not the file", async () => {
    const file = await newFile(7 * megabyte);
    await newStore().put(file, never);
    expect((await readdir(folder)).filter((name) => name.startsWith(file.jobId))).toContain(
      `${file.jobId}.mp4.upload.json`,
    );
    // Known complete: nothing is sent.
    expect(bytesOf(await requestsOf(() => newStore().put(file, never)))).toBe(0);
    const response = await fetch(`${storage.url}/storage/v1/object/films/${file.path}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${storage.serviceKey}` },
    });
    expect(response.status).toBe(200);
    await expect(newStore().put(file, never)).rejects.toMatchObject({ code: "STORAGE_UNREACHABLE" });
    await newStore().put(file, never);
    await expectStored(file);
  });
});

describe.each([
  ["in one request", 1000],
  ["in parts", chunkBytes + 1],
])("refusals of a file that goes %s", (_how, sizeBytes) => {
  it("says for good that it is too large, or of a type that the bucket does not take", async () => {
    const tooLarge = await newFile(sizeBytes, { bucket: "small" });
    await expect(newStore().put(tooLarge, never)).rejects.toThrow(PermanentError);
    await expect(newStore().put(tooLarge, never)).rejects.toMatchObject({
      code: "ASSET_REFUSED",
      message: expect.stringContaining("raise the limit"),
    });
    const wrongType = await newFile(sizeBytes, { mimeType: "text/plain" });
    await expect(newStore().put(wrongType, never)).rejects.toMatchObject({
      code: "ASSET_REFUSED",
      message: expect.stringMatching(/text\/plain.*not on the bucket's list/),
    });
    await expect(newStore().put(wrongType, never)).rejects.toThrow(PermanentError);
  });

  it.each([
    ["a key that is none", "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoieCJ9.c2lnbmF0dXJl", /refuses the service key/],
    ["an unknown secret key", "sb_secret_of-another-project", /refuses the service key/],
  ])("waits for somebody to mend the deployment: %s", async (_what, serviceKey, message) => {
    const project = { url: storage.url, serviceKey };
    const file = await newFile(sizeBytes);
    const error = await newStore({ project })
      .put(file, never)
      .then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(RetryableError);
    expect(error).toMatchObject({
      code: "STORAGE_REFUSED",
      delaySeconds: 300,
      details: { status: expect.any(Number) },
      message: expect.stringMatching(message),
    });
    expect(JSON.stringify([String(error), error])).not.toContain(project.serviceKey);
  });

  it("tries again when there is no such bucket, without asking the others to wait", async () => {
    const error = await newStore()
      .put(await newFile(sizeBytes, { bucket: "none" }), never)
      .then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(RetryableError);
    expect(error).toMatchObject({
      code: "STORAGE_REFUSED",
      delaySeconds: undefined,
      message: expect.stringMatching(/no bucket "none".*run the migrations/),
    });
  });

  it("does not follow a redirect with the key", async () => {
    const file = await newFile(sizeBytes);
    storage.faults.add({
      method: "POST",
      does: { status: 307, headers: { location: "http://127.0.0.1:1/elsewhere" } },
    });
    await expect(newStore().put(file, never)).rejects.toMatchObject({ code: "STORAGE_REFUSED" });
  });

  it("tries again when the service is busy, as late as it says", async () => {
    const file = await newFile(sizeBytes);
    storage.faults.add({ method: "POST", does: { status: 503, headers: { "retry-after": "7" } } });
    await expect(newStore().put(file, never)).rejects.toMatchObject({ code: "STORAGE_UNREACHABLE", delaySeconds: 7 });
    await newStore().put(file, never);
    await expectStored(file);
  });

  it("has one file after an answer that was lost", async () => {
    const file = await newFile(sizeBytes);
    storage.faults.add({ method: sizeBytes > chunkBytes ? "PATCH" : "POST", does: { dropAnswer: true } });
    await newStore()
      .put(file, never)
      .catch(() => newStore().put(file, never));
    await expectStored(file);
  });

  it("takes for stored what the service has already, when the size is right", async () => {
    const file = await newFile(sizeBytes);
    await newStore().put(file, never);
    await rm(`${file.file}.upload.json`, { force: true });
    const body = JSON.stringify({ statusCode: "409", error: "Duplicate", message: "The resource already exists" });
    const isInParts = sizeBytes > chunkBytes;
    const duplicate = { method: "POST", does: { status: isInParts ? 409 : 400, body } } as const;
    storage.faults.add(duplicate);
    expect(bytesOf(await requestsOf(() => newStore().put(file, never)))).toBe(isInParts ? 0 : sizeBytes);

    // Another attempt's file is in the way of this one's.
    const other = { ...(await newFile(sizeBytes + 1)), path: file.path, jobId: file.jobId };
    storage.faults.add(duplicate);
    await newStore()
      .put(other, never)
      .catch(() => newStore().put(other, never));
    await expectStored(other);
  });

  it("gives up a service that says nothing more", async () => {
    const file = await newFile(sizeBytes);
    storage.faults.add({ method: "POST", times: 10, does: { hang: true } });
    await expect(newStore({ idleMs: 100 }).put(file, never)).rejects.toMatchObject({
      code: "STORAGE_UNREACHABLE",
      message: expect.stringContaining("nothing was heard"),
    });
  });
});

it("says that a service cannot be reached", async () => {
  const project = { url: "http://127.0.0.1:1", serviceKey: "sb_secret_key" };
  const file = await newFile(10);
  await expect(newStore({ project }).put(file, never)).rejects.toMatchObject({ code: "STORAGE_UNREACHABLE" });
});

it("sends the key to no address that an answer names", async () => {
  const seen: string[] = [];
  const elsewhere = createServer((request, response) => {
    seen.push(`elsewhere ${request.method}`);
    response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  const service = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const address = elsewhere.address();
    const port = typeof address === "object" ? address?.port : 0;
    if (request.method === "POST") response.writeHead(201, { location: `http://127.0.0.1:${port}/x/y/upload-1` });
    else response.writeHead(400, { connection: "close" });
    response.end();
  }).listen(0, "127.0.0.1");
  await Promise.all([once(elsewhere, "listening"), once(service, "listening")]);
  const address = service.address();
  const port = typeof address === "object" ? address?.port : 0;
  const file = await newFile(chunkBytes + 1);
  const project = { url: `http://127.0.0.1:${port}`, serviceKey: "sb_secret_key" };
  await expect(newStore({ project }).put(file, never)).rejects.toThrow();
  expect(seen).toContain("PATCH /storage/v1/upload/resumable/upload-1");
  expect(seen).not.toContainEqual(expect.stringContaining("elsewhere"));
  for (const server of [elsewhere, service]) {
    server.closeAllConnections();
    server.close();
  }
});

describe("addresses", () => {
  it("of a whole page are signed in one request, and requested again when they are half used up", async () => {
    let nowMs = Date.now();
    const store = newStore({ nowMs: () => nowMs });
    const files = await Promise.all([1, 2, 3].map(() => newFile(10)));
    for (const file of files) await store.put(file, never);
    const all = () => Promise.all(files.map(({ bucket, path }) => store.url(bucket, path)));
    const first = await requestsOf(all);
    expect(first).toMatchObject([{ method: "POST", path: "/storage/v1/object/sign/films", status: 200 }]);
    expect(await requestsOf(all)).toEqual([]);
    nowMs += 1_801_000;
    expect(await requestsOf(all)).toHaveLength(1);
    for (const address of await all()) expect((await fetch(`${address}`)).status).toBe(200);
  });

  it("are null for a file that is not there, and when the storage is away", async () => {
    expect(await newStore().url("films", "ann/none/0.mp4")).toBeNull();
    const file = await newFile(10);
    await newStore().put(file, never);
    storage.faults.add({ path: "/object/sign/", does: { status: 503 } });
    expect(await newStore().url(file.bucket, file.path)).toBeNull();
    expect(await newStore().url(file.bucket, file.path)).toMatch(/\/storage\/v1\/object\/sign\/films\/ann\//);
  });
});
