import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { makePicture, sha256 } from "#runtime/inputs/testing/harness.ts";
import { inputView } from "./api/schemas/input-view.ts";
import type { RunningServer } from "./server.ts";
import { startContainer, type TestAnswer, type TestContainer, testKey, toAnswer } from "./testing/container.ts";
import { sendRaw, statusOf } from "./testing/raw-request.ts";

/* Files that users upload, over HTTP, and the jobs that name them. */
let container: TestContainer;
let server: RunningServer;
let picture: Buffer;
const bearer = { Authorization: `Bearer ${testKey}` };

beforeAll(async () => {
  picture = await makePicture("olive");
  container = await startContainer({
    HANDLERS_DIR: fileURLToPath(new URL("../runtime/inputs/testing/handlers", import.meta.url)),
    WAN_WORKER_API_KEY: testKey,
    INPUT_MAX_MB: "1",
    LORA_MAX_MB: "2",
  });
  server = await container.listen({ uploadSilenceMs: 300 });
});
afterAll(() => container.stop());

async function upload(
  body: Uint8Array<ArrayBuffer> | Buffer,
  query = "?user_id=ann",
  headers = {},
): Promise<TestAnswer> {
  const init = { method: "POST", body: new Uint8Array(body), headers: { ...bearer, ...headers } };
  return toAnswer(await fetch(`${server.url}/inputs${query}`, init));
}

const call = (method: string, path: string, body?: unknown) =>
  container.call(method, path, { headers: bearer, ...(body === undefined ? {} : { body }) });
const draw = (reference_image_url: string, user_id = "ann") =>
  call("POST", "/generate", { type: "tint", user_id, config: { reference_image_url } });
const partial = () => readdir(join(container.runtime.folder, "inputs", "partial")).catch(() => []);

describe("an upload", () => {
  it("answers with an address that jobs of its user take, and others do not", async () => {
    const { status, json, headers } = await upload(picture);
    expect(status).toBe(201);
    const input = inputView.parse(json);
    const hash = sha256(picture);
    expect(input).toMatchObject({
      input: `input:${hash}`,
      user_id: "ann",
      mime_type: "image/png",
      width: 64,
      height: 64,
    });
    expect(Date.parse(input.expires_at) - Date.parse(input.created_at)).toBe(24 * 3_600_000);
    expect(headers.get("location")).toBe(`${server.url}/inputs/${hash}`);
    expect(await draw(input.input)).toMatchObject({
      status: 200,
      json: { result_metadata: { sha256: hash, width: 64 } },
    });
    const stranger = await draw(input.input, "bob");
    expect(stranger).toMatchObject({ status: 422, json: { code: "INPUT_NOT_FOUND" } });
    expect(stranger.json).toMatchObject({ details: [{ field: "config.reference_image_url", value: input.input }] });
  });

  it("is the body, too, when curl says that it were a form", async () => {
    const form = { "Content-Type": "application/x-www-form-urlencoded" };
    expect((await upload(picture, "?user_id=curl", form)).json).toMatchObject({ mime_type: "image/png" });
  });

  it("is the same file again, and is readable at a signed address", async () => {
    await upload(picture);
    const again = await upload(picture);
    expect(again.status).toBe(200);
    const { url } = inputView.parse(again.json);
    const file = await fetch(new URL(url ?? "", server.url));
    expect(Buffer.from(await file.arrayBuffer())).toEqual(picture);
    expect(file.headers.get("content-type")).toBe("image/png");
  });

  it("is shown to its user and to the operator, and can be deleted", async () => {
    const other = await makePicture("teal");
    const { sha256: hash, input } = inputView.parse((await upload(other)).json);
    for (const path of [`/inputs/${hash}?user_id=ann`, `/inputs/${hash}`, `/inputs/${input}`])
      expect(await call("GET", path)).toMatchObject({ status: 200, json: { input } });
    for (const method of ["GET", "DELETE"])
      expect(await call(method, `/inputs/${hash}?user_id=bob`)).toMatchObject({
        status: 404,
        json: { code: "NOT_FOUND" },
      });
    expect(await call("DELETE", `/inputs/${hash}?user_id=ann`)).toMatchObject({ status: 200, json: { deleted: 1 } });
    expect(await call("GET", `/inputs/${hash}`)).toMatchObject({ status: 404 });
    expect(await draw(input)).toMatchObject({ json: { code: "INPUT_NOT_FOUND" } });
  });

  it("of nobody in particular belongs to the user of jobs without one", async () => {
    const { input } = inputView.parse((await upload(picture, "")).json);
    expect(await call("POST", "/generate", { type: "tint", config: { reference_image_url: input } })).toMatchObject({
      status: 200,
      json: { user_id: "anonymous" },
    });
  });
});

describe("a small file in the job itself", () => {
  it("is taken", async () => {
    const answer = await draw(`data:image/png;base64,${(await makePicture("olive", 16)).toString("base64")}`);
    expect(answer).toMatchObject({ status: 200, json: { result_metadata: { mimeType: "image/png", width: 16 } } });
  });

  it.each([
    ["data:image/png;base64,aGVsbG8gd29ybGQ=", "INPUT_INVALID", "by its content"],
    ["data:text/plain,hello", "INPUT_REFUSED", "not in base64"],
  ])("is refused: %s", async (address, code, message) => {
    expect(await draw(address)).toMatchObject({ status: 422, json: { code, error: expect.stringContaining(message) } });
  });

  it("is refused where no model could use anything of it", async () => {
    const error = expect.stringContaining("config.reference_image_url: The picture has 3000 × 20 pixels");
    const answer = await draw(`data:image/png;base64,${(await thread()).toString("base64")}`);
    expect(answer).toMatchObject({ status: 422, json: { code: "INPUT_INVALID", error } });
  });
});

describe("what is no address", () => {
  it.each([
    ["ftp://files.example/a.png", "The reference file ftp://files.example/a.png is refused"],
    ["file:/etc/passwd?x", "The reference file file:/etc/passwd is refused"],
    ["blob:https://a.example/7f", "The reference file blob:https://a.example/7f is refused"],
  ])("is refused as it was written: %s", async (address, message) => {
    const { json } = await draw(address);
    expect(json).toMatchObject({ code: "INPUT_REFUSED", error: expect.stringContaining(message) });
    expect(JSON.stringify(json)).not.toContain("INPUT_HOSTS_ALLOWED");
  });
});

it.each(["/jobs", "/generate"])("an address that could not be fetched from is refused by POST %s", async (path) => {
  const job = { type: "tint", user_id: "ann", config: { reference_image_url: "https://10.0.0.1/a.png" } };
  expect(await call("POST", path, job)).toMatchObject({
    status: 422,
    json: { code: "INPUT_REFUSED", details: [{ field: "config.reference_image_url" }] },
  });
});

const refusal = z.object({ success: z.literal(false), code: z.string(), error: z.string() });

describe("an upload is refused", () => {
  it.each<[string, () => Promise<TestAnswer>, number, string, string]>([
    ["of a stranger", () => upload(picture, "", { Authorization: "Bearer nobody" }), 401, "UNAUTHORIZED", "key"],
    ["that is empty", () => upload(Buffer.alloc(0)), 422, "INPUT_INVALID", "it is empty"],
    ["of another kind", () => upload(Buffer.from("a letter, not a picture ".repeat(9))), 422, "INPUT_INVALID", "PNG"],
    [
      "in a form",
      () => upload(picture, "", { "Content-Type": "multipart/form-data; boundary=x" }),
      415,
      "UNSUPPORTED_MEDIA_TYPE",
      "--data-binary",
    ],
    [
      "that is packed",
      () => upload(picture, "", { "Content-Encoding": "gzip" }),
      415,
      "UNSUPPORTED_MEDIA_TYPE",
      "uncompressed",
    ],
    ["for no user", () => upload(picture, "?user_id=../etc"), 400, "INVALID_REQUEST", "user_id"],
    ["of a thread", async () => upload(await thread()), 422, "INPUT_INVALID", "at most 20 times the other"],
    ["of a bomb", async () => upload(await bomb()), 422, "INPUT_TOO_LARGE", "20000 × 20000"],
    [
      "that is larger than pictures are",
      async () => upload(Buffer.concat([picture, Buffer.alloc(1.5e6)])),
      413,
      "BODY_TOO_LARGE",
      "1 MB",
    ],
  ])("%s", async (_what, send, status, code, message) => {
    const answer = await send();
    expect([answer.status, refusal.parse(answer.json).code]).toEqual([status, code]);
    expect(refusal.parse(answer.json).error).toContain(message);
    expect(await partial()).toEqual([]);
  });

  it("of 2 GB before a byte of it is sent", async () => {
    const head = `POST /inputs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${bearer.Authorization}\r\nContent-Length: 2147483648\r\n\r\n`;
    const answer = await sendRaw(server.port, head);
    expect(statusOf(answer)).toBe(413);
    expect(answer).toContain("larger than 2 MB");
  });

  it.each([
    ["broken off", true],
    ["that falls silent", false],
  ])("%s half-way, and nothing is left", async (_what, ends) => {
    const socket = connect(server.port, "127.0.0.1");
    const closed = once(socket, "close");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk)).on("error", () => undefined);
    socket.write(
      `POST /inputs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${bearer.Authorization}\r\nContent-Length: 90000\r\n\r\n`,
    );
    socket.write(picture);
    if (ends) {
      await expect.poll(partial).toHaveLength(1);
      socket.destroy();
    }
    await closed;
    if (!ends) expect(statusOf(Buffer.concat(chunks).toString())).toBe(408);
    await expect.poll(partial).toEqual([]);
  });
});

/** 1 kB that says of itself to be 20,000 × 20,000. */
async function bomb(): Promise<Buffer> {
  const bytes = Buffer.from(await makePicture("gray"));
  bytes.writeUInt32BE(20_000, 16);
  bytes.writeUInt32BE(20_000, 20);
  return bytes;
}

function thread(): Promise<Buffer> {
  return sharp({ create: { width: 3000, height: 20, channels: 3, background: "gray" } })
    .png()
    .toBuffer();
}

it("the stored file is the user's, under its content", async () => {
  await upload(picture);
  const file = join(container.runtime.folder, "files", "inputs", "ann", "inputs", `${sha256(picture)}.png`);
  expect(await readFile(file)).toEqual(picture);
});
