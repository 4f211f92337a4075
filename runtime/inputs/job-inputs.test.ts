import { once } from "node:events";
import { access, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestRuntime, type TestRuntime } from "#test/support/runtime.ts";
import { makePicture, sha256 } from "./testing/harness.ts";
import type { Site } from "./testing/internet.ts";

/* Jobs with reference files in a whole container: what a handler gets, and what becomes of the job when it gets nothing. */
const handlers = fileURLToPath(new URL("./testing/handlers", import.meta.url));
let site: Site;
let picture: Buffer;
let host: string;
let runtime: TestRuntime;
const server = createServer((request, response) => site(request, response));

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  host = `127.0.0.1:${address.port}`;
  picture = await makePicture("steelblue");
  runtime = await startTestRuntime({ HANDLERS_DIR: handlers, INPUT_HOSTS_ALLOWED: host, ABORT_GRACE_SECONDS: "10" });
});
afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  site = (_request, response) => void response.writeHead(200, { ETag: '"1"' }).end(picture);
});

const url = () => `http://${host}/mountains.png?token=abc`;
const submit = (reference_image_url = url(), more = {}) => runtime.submit("tint", { reference_image_url, ...more });
const workFolders = () => readdir(join(runtime.folder, "work"));

describe("a handler", () => {
  it("gets a file of its own with what is known about it, and the file is gone after the job", async () => {
    const record = await runtime.ended(await submit());
    expect(record).toMatchObject({
      status: "completed",
      result: {
        metadata: {
          mimeType: "image/png",
          width: 64,
          height: 64,
          sizeBytes: picture.byteLength,
          sha256: sha256(picture),
        },
      },
    });
    const { file } = record.result?.metadata ?? {};
    expect(file).toMatch(new RegExp(`/work/${record.job.id}/1-[0-9a-f]{12}/inputs/`));
    await expect(access(String(file))).rejects.toThrow("ENOENT");
    expect(await workFolders()).toEqual([]);
  });

  it("may make something of it, and hand it over itself", async () => {
    const record = await runtime.ended(await submit(url(), { keep: true }));
    expect(record).toMatchObject({
      status: "completed",
      result: { assets: [{ mime_type: "image/png" }, { mime_type: "image/png" }] },
    });
    const stored = join(runtime.folder, "files", "tint", "anonymous", record.job.id, "1.png");
    expect(await readFile(stored)).toEqual(picture);
    expect(await workFolders()).toEqual([]);
  });
});

it("ends the job at once when its address is refused, without asking it", async () => {
  const record = await runtime.ended(await submit("https://169.254.169.254/latest/meta-data/?token=abc"));
  expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code: "INPUT_REFUSED" } });
  expect(JSON.stringify(record.error)).not.toContain("token");
  expect(await workFolders()).toEqual([]);
});

it("ends the job at once when the picture is a bomb", async () => {
  const bomb = Buffer.from(picture);
  bomb.writeUInt32BE(60_000, 16);
  bomb.writeUInt32BE(60_000, 20);
  site = (_request, response) => void response.end(bomb);
  const record = await runtime.ended(await submit());
  expect(record).toMatchObject({
    status: "failed",
    attempt: 1,
    error: { code: expect.stringMatching(/^INPUT_(TOO_LARGE|INVALID)$/) },
  });
});

it("tries the job again when the server could not answer", async () => {
  let requested = 0;
  site = (_request, response) => void (++requested === 1 ? response.writeHead(503).end() : response.end(picture));
  const record = await runtime.ended(await submit());
  expect(record).toMatchObject({ status: "completed", attempt: 2 });
});

it("leaves a download when the job is cancelled", async () => {
  const [requested, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  site = (_request, response) => {
    response.once("close", () => closed.resolve());
    response.write(picture.subarray(0, 100), () => requested.resolve());
  };
  const id = await submit();
  await requested.promise;
  await runtime.queue.cancel(id);
  await closed.promise;
  expect(await runtime.ended(id)).toMatchObject({ status: "cancelled" });
  expect(await workFolders()).toEqual([]);
});
