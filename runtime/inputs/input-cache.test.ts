import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { endWithThisProcess } from "#test/support/kill.ts";
import { InputCache } from "./input-cache.ts";
import { host, inputsHarness, makePicture, sends, sha256 } from "./testing/harness.ts";
import type { Site } from "./testing/internet.ts";

const harness = inputsHarness();
const address = `https://${host}/a.png`;

/** A server that answers conditional requests, with what it sent each time. */
function versioned(content: { bytes: Uint8Array; etag: string }): { site: Site; statuses: number[] } {
  const statuses: number[] = [];
  const site: Site = (request, response) => {
    const status = request.headers["if-none-match"] === content.etag ? 304 : 200;
    statuses.push(status);
    response.writeHead(status, { ETag: content.etag }).end(status === 200 ? content.bytes : undefined);
  };
  return { site, statuses };
}

const kept = () => readdir(join(harness.folder, "content")).catch(() => []);

describe("an address that was fetched before", () => {
  it("is requested again, with the token of each caller, and not sent again while it is the same", async () => {
    const content = { bytes: harness.picture, etag: '"1"' };
    const { site, statuses } = versioned(content);
    harness.serve(site);
    const first = await harness.fetch(`${address}?token=one`);
    const second = await harness.fetch(`${address}?token=two`);
    expect(statuses).toEqual([200, 304]);
    expect(second).toEqual({ ...first, file: second.file });
    expect(await readFile(second.file)).toEqual(harness.picture);
    expect(await kept()).toEqual([sha256(harness.picture)]);

    content.bytes = await makePicture("orange");
    content.etag = '"2"';
    expect(await harness.fetch(address)).toMatchObject({ sha256: sha256(content.bytes) });
    expect(statuses).toEqual([200, 304, 200]);
  });

  it("is refused to whom its server refuses it", async () => {
    const { site } = versioned({ bytes: harness.picture, etag: '"1"' });
    harness.serve((request, response) => {
      if (request.url?.includes("token=right")) site(request, response);
      else response.writeHead(403).end();
    });
    await harness.fetch(`${address}?token=right`);
    await expect(harness.fetch(`${address}?token=wrong`)).rejects.toMatchObject({ code: "INPUT_NOT_FOUND" });
    await expect(harness.fetch(address)).rejects.toMatchObject({ code: "INPUT_NOT_FOUND" });
  });

  it("is another one with another query", async () => {
    const { site, statuses } = versioned({ bytes: harness.picture, etag: '"1"' });
    harness.serve(site);
    await harness.fetch(`${address}?width=100`);
    await harness.fetch(`${address}?width=200`);
    expect(statuses).toEqual([200, 200]);
  });

  it("is fetched again when its content was damaged, cut or removed", async () => {
    const { site, statuses } = versioned({ bytes: harness.picture, etag: '"1"' });
    harness.serve(site);
    await harness.fetch(address);
    const file = join(harness.folder, "content", sha256(harness.picture));
    await writeFile(file, Buffer.alloc(harness.picture.byteLength));
    expect(await readFile((await harness.fetch(address)).file)).toEqual(harness.picture);
    // On "not modified" it looked at what it had, and requested all of it once more.
    expect(statuses).toEqual([200, 304, 200]);
    await writeFile(file, harness.picture.subarray(0, 100));
    expect(await readFile((await harness.fetch(address)).file)).toEqual(harness.picture);
    expect(statuses).toEqual([200, 304, 200, 200]);
    await writeFile(
      join(harness.folder, "addresses", (await readdir(join(harness.folder, "addresses")))[0] ?? ""),
      "{",
    );
    expect(await readFile((await harness.fetch(address)).file)).toEqual(harness.picture);
  });

  it("is not affected by what a handler does to its file", async () => {
    harness.serve(versioned({ bytes: harness.picture, etag: '"1"' }).site);
    await writeFile((await harness.fetch(address)).file, "overwritten");
    expect(await readFile((await harness.fetch(address)).file)).toEqual(harness.picture);
  });
});

it.each([
  ["that cannot be revalidated", {}],
  ["that must not be kept", { ETag: '"1"', "Cache-Control": "private, no-store" }],
])("content %s is not kept", async (_what, headers) => {
  harness.serve(sends(harness.picture, headers));
  await harness.fetch(address);
  expect(await kept()).toEqual([]);
});

it("keeps nothing when it may not, and nothing larger than all of it", async () => {
  harness.serve(versioned({ bytes: harness.picture, etag: '"1"' }).site);
  for (const cacheBytes of [0, harness.picture.byteLength - 1]) {
    const inputs = harness.create({ cacheBytes });
    const signal = new AbortController().signal;
    const request = { url: address, userId: "ada", folder: harness.work, name: "a", signal };
    expect(await inputs.fetch(request)).toMatchObject({ mimeType: "image/png" });
    expect(await kept()).toEqual([]);
    expect(await harness.partialFiles()).toEqual([]);
  }
});

it("makes room by removing what was used longest ago", async () => {
  const pictures = await Promise.all(["red", "green", "blue"].map((colour) => makePicture(colour)));
  const [red, green, blue] = pictures.map(sha256);
  harness.serve((request, response) => {
    const index = Number(request.url?.slice(1));
    versioned({ bytes: pictures[index] ?? Buffer.alloc(0), etag: `"${index}"` }).site(request, response);
  });
  const largest = Math.max(...pictures.map((bytes) => bytes.byteLength));
  const cacheBytes = largest * 2 + 1000;
  const inputs = harness.create({ cacheBytes });
  const fetch = (index: number) =>
    inputs.fetch({
      url: `https://${host}/${index}`,
      userId: "ada",
      folder: harness.work,
      name: String(index),
      signal: new AbortController().signal,
    });
  await fetch(0);
  await fetch(1);
  // Both are old; the first one is used again, and so becomes the younger one.
  const past = new Date(Date.now() - 60_000);
  for (const name of await kept()) await utimes(join(harness.folder, "content", name), past, past);
  await fetch(0);
  await fetch(2);
  expect((await kept()).sort()).toEqual([red, blue].sort());
  expect(await kept()).not.toContain(green);
});

it("is shared by containers that fetch the same at the same time", async () => {
  harness.serve(versioned({ bytes: harness.picture, etag: '"1"' }).site);
  const inputs = await Promise.all(Array.from({ length: 12 }, () => harness.fetch(address)));
  for (const { file } of inputs) expect(await readFile(file)).toEqual(harness.picture);
  expect(await kept()).toEqual([sha256(harness.picture)]);
  expect(await harness.partialFiles()).toEqual([]);
});

it("has whole files or none after a container was killed, and forgets what that one had begun", async () => {
  const nas = `127.0.0.1:${harness.internet.httpPort}`;
  harness.serve((_request, response) => {
    response.writeHead(200, { ETag: '"1"' });
    response.write(harness.picture.subarray(0, harness.picture.byteLength - 10));
  }, nas);
  const script = fileURLToPath(new URL("./testing/fetch-for-ever.ts", import.meta.url));
  const child = spawn(process.execPath, [script, harness.folder, harness.work, nas], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  endWithThisProcess(child, "SIGKILL");
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  const [partial = "none"] = await harness.partialFiles();
  expect((await stat(join(harness.folder, "partial", partial))).size).toBeGreaterThan(0);
  expect(await kept()).toEqual([]);

  harness.serve(versioned({ bytes: harness.picture, etag: '"1"' }).site);
  const twoHoursAgo = new Date(Date.now() - 2 * 60 * 60 * 1000);
  await utimes(join(harness.folder, "partial", partial), twoHoursAgo, twoHoursAgo);
  expect(await readFile((await harness.fetch(address)).file)).toEqual(harness.picture);
  expect(await harness.partialFiles()).toEqual([]);
});

it("leaves the downloads of other containers alone", async () => {
  await mkdir(join(harness.folder, "partial"), { recursive: true });
  await writeFile(join(harness.folder, "partial", "under-way"), "half");
  const cache = new InputCache({ folder: harness.folder, maxBytes: 1e6, nowMs: Date.now });
  await cache.partialFile();
  expect(await harness.partialFiles()).toEqual(["under-way"]);
});
