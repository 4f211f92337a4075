import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { chunkBytes, type StorageServer, startStorageServer } from "./storage-server.ts";

/* What a client may rely on the test server to refuse, spoken to without a client library. */
let storage: StorageServer;
beforeAll(async () => {
  storage = await startStorageServer({
    buckets: [
      { id: "pictures", allowedMimeTypes: ["image/*"], fileSizeLimit: 1000 },
      { id: "films", fileSizeLimit: 20_000_000 },
    ],
  });
});
beforeEach(() => storage.faults.clear());
afterAll(() => storage.close());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function send(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Uint8Array<ArrayBuffer>,
): Promise<Answer> {
  const address = path.startsWith("http") ? path : `${storage.url}/storage/v1${path}`;
  const response = await fetch(address, {
    method,
    headers: { authorization: `Bearer ${storage.serviceKey}`, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const png = { "content-type": "image/png" };
const refused = (statusCode: number, code: string) =>
  expect.stringMatching(`"statusCode":"${statusCode}".*"code":"${code}"`);

it("stores, refuses a second file of the name, replaces it when asked, and gives it back signed", async () => {
  const path = "/object/pictures/ann/1/0.png";
  expect((await send("POST", path, png, "first")).text).toMatch('"Key":"pictures/ann/1/0.png"');
  expect(await send("POST", path, png, "second")).toMatchObject({
    status: 400,
    text: refused(409, "KeyAlreadyExists"),
  });
  expect((await send("POST", path, { ...png, "x-upsert": "true" }, "third")).status).toBe(200);
  expect(storage.find("pictures", "ann/1/0.png")).toMatchObject({ version: 2, sizeBytes: 5, mimeType: "image/png" });
  const { text } = await send("POST", "/object/sign/pictures/ann/1/0.png", {}, JSON.stringify({ expiresIn: 60 }));
  const signed: unknown = JSON.parse(text).signedURL;
  expect((await fetch(`${storage.url}/storage/v1${signed}`)).status).toBe(200);
  expect((await fetch(`${storage.url}/storage/v1${String(signed).replace("0.png", "1.png")}`)).status).toBe(400);
});

it.each([
  [
    "a type that the bucket does not take",
    "/object/pictures/a.txt",
    { "content-type": "text/plain" },
    400,
    refused(415, "InvalidMimeType"),
  ],
  ["a bucket that there is not", "/object/none/a.png", png, 400, refused(404, "NoSuchBucket")],
  ["a name with other letters", "/object/pictures/%C3%A4.png", png, 400, refused(400, "InvalidKey")],
  [
    "a key that is none",
    "/object/pictures/a.png",
    { ...png, authorization: "Bearer a.b.c" },
    400,
    refused(403, "AccessDenied"),
  ],
  [
    "an unknown secret key",
    "/object/pictures/a.png",
    { ...png, authorization: "", apikey: "sb_secret_x" },
    401,
    '{"message":"Invalid API key"}',
  ],
] as const)("refuses %s", async (_what, path, headers, status, text) => {
  expect(await send("POST", path, headers, "x")).toMatchObject({ status, text });
});

it("refuses a file above the bucket's limit, before it has come", async () => {
  expect((await send("POST", "/object/pictures/big.png", png, "x".repeat(1001))).text).toEqual(
    refused(413, "EntityTooLarge"),
  );
});

it("takes a secret key on apikey, and not as a bearer token", async () => {
  const body = "x";
  const withApiKey = { ...png, authorization: "", apikey: storage.secretKey };
  expect((await send("POST", "/object/pictures/s.png", withApiKey, body)).status).toBe(200);
  const asBearer = { ...png, authorization: `Bearer ${storage.secretKey}` };
  expect((await send("POST", "/object/pictures/s.png", asBearer, body)).text).toEqual(refused(403, "AccessDenied"));
});

async function createUpload(bucket: string, length: number, upsert = "true"): Promise<Answer> {
  const metadata = { bucketName: bucket, objectName: "ann/2/0.mp4", contentType: "video/mp4" };
  const encoded = Object.entries(metadata).map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`);
  return send("POST", "/upload/resumable", {
    "tus-resumable": "1.0.0",
    "upload-length": String(length),
    "upload-metadata": encoded.join(","),
    "x-upsert": upsert,
  });
}

function patch(location: string, offset: number, bytes: number): Promise<Answer> {
  const headers = {
    "tus-resumable": "1.0.0",
    "content-type": "application/offset+octet-stream",
    "upload-offset": String(offset),
    "x-upsert": "true",
  };
  return send("PATCH", location, headers, new Uint8Array(bytes));
}

it("takes a resumable upload in parts of exactly 6 MB", async () => {
  const length = chunkBytes + 10;
  const created = await createUpload("films", length);
  expect(created.status).toBe(201);
  const location = created.headers.get("location") ?? "";
  expect(await patch(location, 0, chunkBytes - 1)).toMatchObject({ status: 400 });
  expect(await patch(location, 0, chunkBytes)).toMatchObject({ status: 204 });
  expect(await patch(location, 0, chunkBytes)).toMatchObject({ status: 409 });
  expect(await patch(location, chunkBytes, 10)).toMatchObject({ status: 204 });
  expect(storage.find("films", "ann/2/0.mp4")).toMatchObject({ sizeBytes: length, mimeType: "video/mp4" });
  expect(await createUpload("films", length, "false")).toMatchObject({
    status: 409,
    text: "The resource already exists",
  });
});

it("refuses resumable uploads that are too large, of the wrong type, or to no bucket, and forgets their addresses", async () => {
  expect(await createUpload("films", 20_000_001)).toMatchObject({ status: 413 });
  expect(await createUpload("pictures", 10)).toMatchObject({
    status: 415,
    text: "mime type video/mp4 is not supported",
  });
  expect(await createUpload("none", 10)).toMatchObject({ status: 404, text: "Bucket not found" });
  const location = (await createUpload("films", 100)).headers.get("location") ?? "";
  await storage.expireUploads();
  expect(await send("HEAD", location, { "tus-resumable": "1.0.0" })).toMatchObject({ status: 404 });
});

it("fails as it is told, once", async () => {
  const path = "/object/pictures/fault.png";
  const upsert = { ...png, "x-upsert": "true" };
  storage.faults.add({ does: { status: 503 } }, { does: { dropAnswer: true } }, { does: { cutAfterBytes: 3 } });
  expect((await send("POST", path, upsert, "12345")).status).toBe(503);
  expect(storage.find("pictures", "fault.png")).toBeUndefined();
  await expect(send("POST", path, upsert, "12345")).rejects.toThrow("fetch failed");
  expect(storage.find("pictures", "fault.png")?.version).toBe(1);
  await expect(send("POST", path, upsert, "12345")).rejects.toThrow("fetch failed");
  expect((await send("POST", path, upsert, "12345")).status).toBe(200);
  expect(storage.find("pictures", "fault.png")?.version).toBe(2);
});
