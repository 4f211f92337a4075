import { SignJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type StorageServer, startStorageServer } from "#test/support/supabase/storage-server.ts";
import { systemNetwork } from "./network.ts";
import { storageObject } from "./storage-address.ts";
import { inputsHarness } from "./testing/harness.ts";

/* The app's own storage, by a server that enforces its rules: which addresses are signed anew, and for whom. */
const harness = inputsHarness();
const path = "ada/job-1/0.png";
let storage: StorageServer;
let nowMs = Date.UTC(2026, 0, 1);

beforeAll(async () => {
  storage = await startStorageServer({ buckets: [{ id: "sdxl_image_fast" }], nowMs: () => nowMs });
});
afterAll(() => storage.close());

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  await service(`object/sdxl_image_fast/${path}`, "POST", harness.picture, {
    "Content-Type": "image/png",
    "x-upsert": "true",
  });
});

function service(
  route: string,
  method: string,
  body: Buffer | string,
  headers: Record<string, string>,
): Promise<Response> {
  const Authorization = `Bearer ${storage.serviceKey}`;
  return fetch(`${storage.url}/storage/v1/${route}`, { method, body, headers: { Authorization, ...headers } });
}

/** What an app's edge function puts into a job. */
async function signed(expiresIn = 60): Promise<string> {
  const headers = { "Content-Type": "application/json" };
  const answer = await service(`object/sign/sdxl_image_fast/${path}`, "POST", JSON.stringify({ expiresIn }), headers);
  const body: unknown = await answer.json();
  if (typeof body !== "object" || body === null || !("signedURL" in body)) throw new Error("it was not signed");
  return `${storage.url}/storage/v1${body.signedURL}`;
}

const fetch_ = (url: string, userId = "ada", serviceKey = storage.serviceKey, network = systemNetwork) =>
  harness.fetch(url, { userId }, { supabase: { url: storage.url, serviceKey }, network });

describe("an address of the app's own storage", () => {
  it("is fetched as it is while it is valid, also for another user", async () => {
    const url = await signed();
    const before = storage.requests.length;
    expect(await fetch_(url)).toMatchObject({ mimeType: "image/png" });
    expect(await fetch_(url, "grace")).toMatchObject({ mimeType: "image/png" });
    expect(storage.requests.slice(before).map(({ method }) => method)).toEqual(["GET", "GET"]);
  });

  it.each(["the legacy service key", "a secret key"])("is signed anew when it has expired, with %s", async (which) => {
    const url = await signed();
    nowMs += 3600_000;
    const key = which === "a secret key" ? storage.secretKey : storage.serviceKey;
    expect(await fetch_(url, "ada", key)).toMatchObject({ mimeType: "image/png" });
  });

  it.each(["authenticated", "public"])("that was never signed is signed for its owner: %s", async (access) => {
    const url = `${storage.url}/storage/v1/object/${access}/sdxl_image_fast/${path}`;
    expect(await fetch_(url)).toMatchObject({ mimeType: "image/png" });
  });

  it.each(["what?.png", "is it? yes?.png", "a & b (1).png", "one+two=3;.png"])(
    "is signed anew whatever its file is called: %s",
    async (name) => {
      const headers = { "Content-Type": "image/png", "x-upsert": "true" };
      const file = `sdxl_image_fast/ada/job-1/${encodeURIComponent(name)}`;
      await service(`object/${file}`, "POST", harness.picture, headers);
      expect(await fetch_(`${storage.url}/storage/v1/object/sign/${file}?token=a.b.c`)).toMatchObject({
        mimeType: "image/png",
      });
    },
  );

  it("that has expired stays expired for everybody else, and the storage signs nothing", async () => {
    const url = await signed();
    nowMs += 3600_000;
    const before = storage.requests.length;
    await expect(fetch_(url, "grace")).rejects.toMatchObject({ name: "PermanentError", code: "INPUT_EXPIRED" });
    expect(storage.requests.slice(before).map(({ method }) => method)).toEqual(["GET"]);
  });

  it("with a token of somebody's own making gets a user no file of another", async () => {
    const token = await new SignJWT({ url: `sdxl_image_fast/${path}` })
      .setProtectedHeader({ alg: "HS256" })
      .sign(Buffer.from("a key that is not the storage's key"));
    const url = `${storage.url}/storage/v1/object/sign/sdxl_image_fast/${path}?token=${token}`;
    await expect(fetch_(url, "grace")).rejects.toMatchObject({ code: "INPUT_EXPIRED" });
  });

  it.each([
    "grace/..%2Fada/job-1/0.png",
    "grace/%2e%2e%2fada/job-1/0.png",
    "grace/../ada/job-1/0.png",
    "grace%2F..%2Fada/job-1/0.png",
  ])("does not climb out of its user's folder: %s", async (tricky) => {
    const url = `${storage.url}/storage/v1/object/sign/sdxl_image_fast/${tricky}?token=a.b.c`;
    await expect(fetch_(url, "grace")).rejects.toMatchObject({ name: "PermanentError" });
    expect(
      storage.requests.filter(({ method, path: requested }) => method === "POST" && requested.includes("grace")),
    ).toEqual([]);
  });

  it("of a file that does not exist ends the job", async () => {
    const url = `${storage.url}/storage/v1/object/sign/sdxl_image_fast/ada/job-1/9.png?token=a.b.c`;
    await expect(fetch_(url)).rejects.toMatchObject({ name: "PermanentError", code: "INPUT_NOT_FOUND" });
  });

  it("is tried again later when the service key is wrong or the storage is away", async () => {
    const url = await signed();
    nowMs += 3600_000;
    const wrong = await fetch_(url, "ada", "sb_secret_wrong").catch((error: unknown) => error);
    expect(wrong).toMatchObject({ name: "RetryableError", code: "INPUT_UNREACHABLE" });
    expect(String(wrong)).toContain("SUPABASE_SERVICE_KEY");
    expect(String(wrong)).not.toContain("sb_secret_wrong");
    storage.faults.add({ method: "POST", path: "/object/sign/", does: { status: 503 } });
    await expect(fetch_(url)).rejects.toMatchObject({ name: "RetryableError", code: "INPUT_UNREACHABLE" });
  });
});

it("of another project is not signed anew, and the key does not leave", async () => {
  const seen: (string | undefined)[] = [];
  harness.serve((request, response) => {
    seen.push(request.headers.authorization, request.headers["x-api-key"]?.toString());
    response.writeHead(400).end();
  });
  const url = `https://files.example.test/storage/v1/object/sign/sdxl_image_fast/${path}?token=a.b.c`;
  const fetched = fetch_(url, "ada", storage.serviceKey, harness.internet.network);
  await expect(fetched).rejects.toMatchObject({ code: "INPUT_NOT_FOUND" });
  expect(seen).toEqual([undefined, undefined]);
});

it.each([
  ["/storage/v1/object/sign/b/ada/a.png?token=x", { bucket: "b", segments: ["ada", "a.png"] }],
  ["/storage/v1/object/public/b/ada/a%20b.png", { bucket: "b", segments: ["ada", "a b.png"] }],
  ["/storage/v1/object/authenticated/b/a.png", { bucket: "b", segments: ["a.png"] }],
  ["/storage/v1/object/sign/b", null],
  ["/storage/v1/object/list/b/a.png", null],
  ["/storage/v1/object/sign/b/ada//a.png", null],
  ["/storage/v1/object/sign/b/ada%2Fa.png", null],
  ["/storage/v1/object/sign/b/%E0%A4%A", null],
  ["/rest/v1/jobs", null],
])("%s means %j", (route, object) => {
  expect(storageObject(new URL(`https://p.supabase.co${route}`), "https://p.supabase.co")).toEqual(object);
  expect(storageObject(new URL(`https://q.supabase.co${route}`), "https://p.supabase.co")).toBeNull();
});
