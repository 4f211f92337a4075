import { execFileSync } from "node:child_process";
import { access, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { sha256 } from "../testing/harness.ts";
import { UploadRows } from "./upload-rows.ts";
import { Uploads, type UploadsOptions } from "./uploads.ts";

let base: string;
let embedded: Embedded;
let nowMs = 0;
const active = new Set<string>();
const never = new AbortController().signal;
const hourMs = 3_600_000;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "ourvidz-uploads-"));
  embedded = await openEmbedded(readConfig({ DATA_DIR: base }, () => "test"));
  nowMs = 1_000_000;
  active.clear();
});
afterEach(async () => {
  await embedded.close();
  await rm(base, { recursive: true, force: true });
});

function uploads(limits: Partial<UploadsOptions["limits"]> = {}, options: Partial<UploadsOptions> = {}): Uploads {
  return new Uploads({
    rows: new UploadRows(embedded.database),
    store: embedded.store,
    folder: join(base, "partial"),
    limits: {
      fileBytes: { media: 1000, weights: 2000 },
      userBytes: 3000,
      totalBytes: 5000,
      keepMs: hourMs,
      ...limits,
    },
    log: pino({ level: "silent" }),
    nowMs: () => nowMs,
    isActive: async (jobId) => active.has(jobId),
    ...options,
  });
}

/** A picture by its header, of so many bytes; another one for another mark. */
function gif(size = 100, mark = 0): Buffer {
  return Buffer.concat([Buffer.from("GIF89a\x04\x00\x03\x00", "latin1"), Buffer.alloc(size - 10, mark)]);
}

async function* pieces(...all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all;
}

const add = (to: Uploads, content: Uint8Array, userId = "ann") =>
  to.add({ userId, content: pieces(content), signal: never });
const stored = (userId: string, content: Uint8Array) =>
  join(base, "files", "inputs", userId, "inputs", `${sha256(content)}.gif`);
const partial = () => readdir(join(base, "partial"));

describe("an uploaded file", () => {
  it("is kept by its content, once, and longer when it comes again", async () => {
    const to = uploads();
    const first = await add(to, gif());
    expect(first).toMatchObject({
      created: true,
      upload: { mimeType: "image/gif", width: 4, height: 3, sizeBytes: 100 },
    });
    expect(first.upload.expiresAtMs).toBe(nowMs + hourMs);
    expect(await readFile(stored("ann", gif()))).toEqual(gif());
    nowMs += 1000;
    const again = await add(to, gif());
    expect(again).toMatchObject({ created: false, upload: { createdAtMs: nowMs - 1000, expiresAtMs: nowMs + hourMs } });
    expect(await readdir(join(base, "files", "inputs", "ann", "inputs"))).toHaveLength(1);
    expect(await partial()).toEqual([]);
  });

  it("is the user's own: with the same content, another one has another", async () => {
    const to = uploads();
    await add(to, gif());
    expect(to.find("bob", sha256(gif()))).toBeNull();
    expect(await add(to, gif(), "bob")).toMatchObject({ created: true });
    expect(await to.remove("ann", sha256(gif()))).toBe(1);
    await expect(access(stored("ann", gif()))).rejects.toThrow("ENOENT");
    expect(to.find(null, sha256(gif()))).toMatchObject({ userId: "bob" });
    expect(await to.remove(null, sha256(gif()))).toBe(1);
    expect(await to.remove(null, sha256(gif()))).toBe(0);
  });

  it("goes when it has expired, and not while a job that waits names it", async () => {
    const to = uploads();
    const { upload } = await add(to, gif());
    await to.use(upload, "job-1");
    active.add("job-1");
    nowMs += hourMs + 1;
    expect(await to.removeExpired()).toBe(0);
    active.clear();
    expect(await to.removeExpired()).toBe(1);
    expect(to.find("ann", upload.sha256)).toBeNull();
    await expect(access(stored("ann", gif()))).rejects.toThrow("ENOENT");
  });

  it("stays while the queue of its job does not answer", async () => {
    const to = uploads({}, { isActive: () => Promise.reject(new Error("away")) });
    const { upload } = await add(to, gif());
    await to.use(upload, "job-1");
    nowMs += 2 * hourMs;
    expect(await to.removeExpired()).toBe(0);
  });

  it("is kept for longer by each job that names it", async () => {
    const to = uploads();
    const { upload } = await add(to, gif());
    nowMs += hourMs / 2;
    await to.use(upload, "job-1");
    expect(to.find("ann", upload.sha256)?.expiresAtMs).toBe(nowMs + hourMs);
  });
});

describe("a file is refused", () => {
  const bomb = Buffer.concat([Buffer.from("GIF89a\xff\xff\xff\xff", "latin1"), Buffer.alloc(60)]);
  const brokenJpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xda, 0, 8]), Buffer.alloc(60)]);

  it.each([
    ["that is empty", Buffer.alloc(0), "INPUT_INVALID", "it is empty"],
    ["of another kind", Buffer.from("%PDF-1.7 ".repeat(20)), "INPUT_INVALID", "safetensors"],
    ["of another kind, short", Buffer.from("hi"), "INPUT_INVALID", "by its content"],
    ["that would fill the memory", bomb, "INPUT_TOO_LARGE", "65535 × 65535"],
    ["whose header is damaged", brokenJpeg, "INPUT_INVALID", "header is damaged"],
    ["that is too large for its kind", gif(1001), "BODY_TOO_LARGE", "limit"],
  ])("%s", async (_what, content, code, message) => {
    await expect(add(uploads(), content)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    expect(await partial()).toEqual([]);
    expect(await readdir(join(base, "files"))).toEqual([]);
  });

  it("before it is read when its length is announced", async () => {
    let read = false;
    const content = (async function* () {
      read = true;
      yield gif();
    })();
    const refused = uploads().add({ userId: "ann", content, announcedBytes: 2001, signal: never });
    await expect(refused).rejects.toMatchObject({ code: "BODY_TOO_LARGE" });
    expect(read).toBe(false);
  });

  it("that never ends as soon as it is over the limit", async () => {
    let sent = 0;
    const content = (async function* () {
      for (;;) {
        sent += 100;
        yield gif(100);
      }
    })();
    const refused = uploads().add({ userId: "ann", content, signal: never });
    await expect(refused).rejects.toMatchObject({ code: "BODY_TOO_LARGE" });
    expect(sent).toBe(1100);
  });

  it("that breaks off, and leaves nothing", async () => {
    const content = (async function* () {
      yield gif();
      throw new Error("the client has gone");
    })();
    await expect(uploads().add({ userId: "ann", content, signal: never })).rejects.toThrow("the client has gone");
    expect(await partial()).toEqual([]);
  });

  it("over what its user or all may keep, until some expire", async () => {
    const to = uploads();
    for (const mark of [1, 2, 3]) await add(to, gif(1000, mark));
    const forUser = { code: "INPUTS_FULL", message: expect.stringContaining("The user ann may keep") };
    await expect(add(to, gif(10))).rejects.toMatchObject(forUser);
    for (const mark of [1, 2]) await add(to, gif(1000, mark), "bob");
    const forAll = { code: "INPUTS_FULL", message: expect.stringContaining("This container keeps") };
    await expect(add(to, gif(10), "cleo")).rejects.toMatchObject(forAll);
    nowMs += hourMs + 1;
    expect(await add(to, gif(10), "cleo")).toMatchObject({ created: true });
    expect(to.find("ann", sha256(gif(1000, 1)))).toBeNull();
  });

  it("where several that are under way would be too much together", async () => {
    const to = uploads({ userBytes: 1500 });
    const gate = Promise.withResolvers<void>();
    const held = (async function* () {
      yield gif(900, 1);
      await gate.promise;
    })();
    const first = to.add({ userId: "ann", content: held, signal: never });
    await expect.poll(() => partial().catch(() => [])).toHaveLength(1);
    await expect(add(to, gif(900, 2))).rejects.toMatchObject({ code: "INPUTS_FULL" });
    gate.resolve();
    expect(await first).toMatchObject({ created: true });
  });

  it.runIf(process.getuid?.() === 0)("when the disk is full", async () => {
    const disk = join(base, "partial");
    execFileSync("mkdir", ["-p", disk]);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", disk]);
    try {
      const to = uploads({ fileBytes: { media: 1e6, weights: 1e6 }, userBytes: 1e7, totalBytes: 1e7 });
      const message = expect.stringContaining("The disk is full");
      await expect(add(to, gif(100_000))).rejects.toMatchObject({ code: "DISK_FULL", message });
      expect(await partial()).toEqual([]);
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });
});
