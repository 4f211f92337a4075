import { mkdir, readdir, readlink, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDataFolder } from "#runtime/container/data-folder.ts";
import { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import { jobView } from "./api/schemas/job-view.ts";
import type { RunningServer } from "./server.ts";
import { startContainer, type TestContainer, testKey } from "./testing/container.ts";
import { rawGet, statusOf } from "./testing/raw-request.ts";

/** Larger than what is read at once, so that a file comes in several pieces. */
const size = 700_001;
const text = "0123456789".repeat(size / 10 + 1).slice(0, size);

let container: TestContainer;
let server: RunningServer;
let url: string;
beforeAll(async () => {
  container = await startContainer({ WAN_WORKER_API_KEY: testKey });
  server = await container.listen();
  const id = await container.runtime.submit("gated", { size });
  await container.runtime.ended(id);
  const { json } = await container.call("GET", `/jobs/${id}`, { headers: { Authorization: `Bearer ${testKey}` } });
  const { pathname, search } = new URL(jobView.parse(json).assets[0]?.url ?? "");
  url = `${server.url}${pathname}${search}`;
});
afterAll(() => container.stop());

/** Puts a file of that name into the store, and returns its signed address. */
async function store(name: string, content: string): Promise<string> {
  const path = container.runtime.files.locate("bucket", name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return server.url + (await container.runtime.files.url("bucket", name));
}

describe("a file", () => {
  it("is sent whole, and can be cached by whoever asked only", async () => {
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(text);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(size),
      "accept-ranges": "bytes",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; sandbox",
    });
    expect(response.headers.get("cache-control")).toMatch(/^private/);
  });

  it.each([
    ["a.mp4", "video/mp4"],
    ["a.PNG", "image/png"],
    ["a.thumb.webp", "image/webp"],
    ["a.html", "application/octet-stream"],
    ["a.svg", "application/octet-stream"],
    ["a", "application/octet-stream"],
  ])("%s is sent as %s", async (name, type) => {
    const response = await fetch(await store(`user/job/${name}`, "<script>"));
    expect(response.headers.get("content-type")).toBe(type);
    expect(await response.text()).toBe("<script>");
  });

  it("may be empty", async () => {
    const response = await fetch(await store("user/job/empty.txt", ""));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe("0");
    expect(await response.text()).toBe("");
  });

  it("answers HEAD with what GET would say", async () => {
    const head = await fetch(url, { method: "HEAD" });
    const get = await fetch(url);
    await get.body?.cancel();
    expect(head.status).toBe(200);
    for (const name of ["content-length", "content-type", "etag", "last-modified", "accept-ranges"]) {
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
  });

  it.runIf(process.platform === "linux")("is closed at the end, and when the reader leaves", async () => {
    const address = await store("user/job/long.txt", text.repeat(20));
    const file = container.runtime.files.locate("bucket", "user/job/long.txt");
    const leaving = new AbortController();
    for (let reader = 0; reader < 5; reader++) {
      const response = await fetch(address, { signal: leaving.signal });
      await response.body?.getReader().read();
    }
    expect(await timesOpen(file)).toBe(5);
    leaving.abort();
    await expect.poll(() => timesOpen(file)).toBe(0);
    for (const init of [{}, { method: "HEAD" }, { headers: { Range: "bytes=9999999999-" } }]) {
      await (await fetch(address, init)).text();
    }
    expect(await timesOpen(file)).toBe(0);
  });
});

/** How often this process, which is also the server's, has the file open. */
async function timesOpen(file: string): Promise<number> {
  const descriptors = await readdir("/proc/self/fd");
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return targets.filter((target) => target === file).length;
}

describe("ranges", () => {
  it.each([
    ["bytes=0-0", 0, 0],
    ["bytes=10-19", 10, 19],
    ["bytes=262143-262144", 262_143, 262_144],
    ["bytes=700000-", 700_000, 700_000],
    ["bytes=-5", size - 5, size - 1],
    ["bytes=5-99999999", 5, size - 1],
  ])("%s", async (range, start, end) => {
    const response = await fetch(url, { headers: { Range: range } });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(`bytes ${start}-${end}/${size}`);
    expect(response.headers.get("content-length")).toBe(String(end + 1 - start));
    expect(await response.text()).toBe(text.slice(start, end + 1));
  });

  it.each(["bytes=5-1", "bytes=0-1,4-5", "lines=1-2", "nonsense"])("%s is answered with the whole", async (range) => {
    const response = await fetch(url, { headers: { Range: range } });
    expect(response.status).toBe(200);
    expect((await response.text()).length).toBe(size);
  });

  it.each([`bytes=${size}-`, "bytes=-0"])("%s lies outside", async (range) => {
    const response = await fetch(url, { headers: { Range: range } });
    expect(response.status).toBe(416);
    expect(response.headers.get("content-range")).toBe(`bytes */${size}`);
    expect(await response.json()).toMatchObject({ success: false, code: "RANGE_NOT_SATISFIABLE" });
  });
});

describe("conditions", () => {
  const answer = async (headers: Record<string, string>) => {
    const response = await fetch(url, { headers });
    await response.body?.cancel();
    return response.status;
  };

  it("spare what the reader has", async () => {
    const { headers } = await fetch(url, { method: "HEAD" });
    const etag = headers.get("etag") ?? "";
    const modified = headers.get("last-modified") ?? "";
    expect(await answer({ "If-None-Match": etag })).toBe(304);
    expect(await answer({ "If-None-Match": `"other", W/${etag}` })).toBe(304);
    expect(await answer({ "If-None-Match": "*" })).toBe(304);
    expect(await answer({ "If-None-Match": '"other"' })).toBe(200);
    expect(await answer({ "If-None-Match": '"other"', "If-Modified-Since": modified })).toBe(200);
    expect(await answer({ "If-Modified-Since": modified })).toBe(304);
    expect(await answer({ "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT" })).toBe(200);
    expect(await answer({ "If-Modified-Since": "yesterday" })).toBe(200);
    const range = "bytes=0-9";
    expect(await answer({ Range: range, "If-Range": etag })).toBe(206);
    expect(await answer({ Range: range, "If-Range": modified })).toBe(206);
    expect(await answer({ Range: range, "If-Range": '"other"' })).toBe(200);
  });

  it("change with the file", async () => {
    const address = await store("user/job/again.txt", "first");
    const before = (await fetch(address)).headers.get("etag");
    await store("user/job/again.txt", "other");
    await utimes(container.runtime.files.locate("bucket", "user/job/again.txt"), 1, 1);
    expect((await fetch(address)).headers.get("etag")).not.toBe(before);
  });
});

describe("an address", () => {
  const changed = (change: (address: URL) => void) => {
    const address = new URL(url);
    change(address);
    return address.href;
  };

  it.each<[string, (address: URL) => void]>([
    ["without a signature", (address) => address.searchParams.delete("signature")],
    ["without an expiry", (address) => address.searchParams.delete("expires")],
    ["with a later expiry", (address) => address.searchParams.set("expires", "99999999999")],
    ["with an odd expiry", (address) => address.searchParams.set("expires", "1e99")],
    ["with another signature", (address) => address.searchParams.set("signature", "A".repeat(43))],
    ["with an empty signature", (address) => address.searchParams.set("signature", "")],
    [
      "of another file",
      (address) => {
        address.pathname = address.pathname.replace("0.txt", "1.txt");
      },
    ],
    [
      "of a file that does not exist",
      (address) => {
        address.pathname = "/files/bucket/user/job/none.png";
      },
    ],
  ])("%s is refused, in one way", async (_name, change) => {
    const response = await fetch(changed(change));
    expect(response.status).toBe(403);
    expect(await response.json()).toEqual({
      success: false,
      error: "This address is not signed by this container, or has expired: ask for a new one.",
      code: "FORBIDDEN",
    });
  });

  it("expires", async () => {
    const { signingKey } = await openDataFolder(container.runtime.folder);
    const anHourAgo = () => Date.now() - 3_601_000;
    const earlier = new LocalAssetStore({ folder: container.runtime.folder, signingKey, nowMs: anHourAgo });
    const path = new URL(url).pathname.split("/").slice(3).join("/");
    expect((await fetch(server.url + (await earlier.url("gated", path)))).status).toBe(403);
    const inTime = new LocalAssetStore({ folder: container.runtime.folder, signingKey, nowMs: Date.now });
    const response = await fetch(server.url + (await inTime.url("gated", path)));
    await response.body?.cancel();
    expect(response.status).toBe(200);
  });

  it.each(["user/job/none.png", "user"])("that is signed may be of a file that is not there: %s", async (name) => {
    await store("user/job/some.png", "");
    const response = await fetch(server.url + (await container.runtime.files.url("bucket", name)));
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("no path leaves the store", () => {
  it.each([
    "/files/../signing.key",
    "/files/%2e%2e/signing.key",
    "/files/%2e%2e%2fsigning.key",
    "/files/..%2fsigning.key",
    "/files/bucket/..%5c..%5csigning.key",
    "/files/bucket/..\\..\\signing.key",
    "/files/bucket/%252e%252e/signing.key",
    "/files/bucket/....//signing.key",
    "/files/bucket/0.txt%00.png",
    "/files//etc/passwd",
    "/files/%2fetc%2fpasswd",
    "/files/bucket/%c0%ae%c0%ae/signing.key",
    "http://127.0.0.1/files/../signing.key",
  ])("%s", async (target) => {
    // Signed as if for this very name: not even a signature opens what lies outside.
    for (const name of [target.replace(/^.*\/files\//, ""), "../signing.key", "bucket/../../signing.key"]) {
      const signature = new URL(await container.runtime.files.url("", name), server.url).search;
      const answer = await rawGet(server.port, target + signature);
      expect([400, 403, 404]).toContain(statusOf(answer));
    }
  });

  it("nor does a folder's name or a hidden file", async () => {
    await store("user/job/some.png", "");
    for (const name of ["user/job", ".hidden", "user/.hidden"]) {
      const { search } = new URL(await container.runtime.files.url("bucket", name), server.url);
      expect([403, 404]).toContain(statusOf(await rawGet(server.port, `/files/bucket/${name}${search}`)));
    }
  });

  it("nor a symbolic link to a folder", async () => {
    const path = container.runtime.files.locate("bucket", "user/job/link.png");
    await mkdir(dirname(path), { recursive: true });
    await symlink(join(container.runtime.folder, "work"), path);
    const address = await container.runtime.files.url("bucket", "user/job/link.png");
    expect((await fetch(server.url + address)).status).toBe(404);
  });
});
