import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LocalAssetStore } from "./local-asset-store.ts";

let folder: string;
let nowMs: number;
let store: LocalAssetStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-files-"));
  nowMs = 1_700_000_000_000;
  store = new LocalAssetStore({
    folder: join(folder, "files"),
    signingKey: Buffer.alloc(32, 7),
    nowMs: () => nowMs,
    urlSeconds: 60,
  });
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const ofJob = { bucket: "pictures", userId: "ann", jobId: "job", mimeType: "image/png" };

async function file(text: string): Promise<string> {
  const path = join(folder, "source.png");
  await writeFile(path, text);
  return path;
}

describe("put", () => {
  it("replaces a file of the same path, leaves nothing unfinished, and may be repeated", async () => {
    const target = { ...ofJob, path: "ann/job/0.png" };
    const first = { ...target, file: await file("first") };
    await store.put(first);
    await store.put(first);
    await rm(first.file);
    await store.put({ ...target, file: await file("second") });
    expect(await readdir(join(folder, "files", "pictures", "ann", "job"))).toEqual(["0.png"]);
    expect(await readFile(store.locate("pictures", "ann/job/0.png"), "utf8")).toBe("second");
    expect(await readdir(join(folder, "files", ".unfinished"))).toEqual([]);
  });

  it("leaves nothing behind that is not a stored file", async () => {
    await store.put({ ...ofJob, path: "ann/job/0.png", file: await file("whole") });
    const missing = { ...ofJob, path: "ann/job/1.png", file: join(folder, "missing") };
    await expect(store.put(missing)).rejects.toMatchObject({ code: "ENOENT" });
    const names = await readdir(join(folder, "files"), { recursive: true, withFileTypes: true });
    expect(names.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual(["0.png"]);
  });

  it.each(["../outside.png", "ann/../../x.png", "/etc/passwd", "ann//0.png", ".hidden", "ann/./0.png", "ann/0\0.png"])(
    "refuses to leave its folder: %j",
    (path) => {
      expect(() => store.locate("pictures", path)).toThrow(/no such file/);
    },
  );
});

describe("what a process left that died while it stored a file", () => {
  it("is removed when it is old, and stored files are not", async () => {
    const stored = { ...ofJob, path: "ann/job/0.png", file: await file("whole") };
    await store.put(stored);
    const unfinished = join(folder, "files", ".unfinished");
    await writeFile(join(unfinished, "left"), "ha");
    const minuteMs = 60_000;
    nowMs = Date.now();
    await store.removeUnfinished(minuteMs);
    expect(await readdir(unfinished)).toEqual(["left"]);
    nowMs += 2 * minuteMs;
    await store.removeUnfinished(minuteMs);
    expect(await readdir(unfinished)).toEqual([]);
    expect(await readFile(store.locate("pictures", "ann/job/0.png"), "utf8")).toBe("whole");
  });

  it("is nothing in a store that never stored", async () => {
    await expect(store.removeUnfinished(0)).resolves.toBeUndefined();
  });

  it("cannot be requested", () => {
    expect(() => store.locate(".unfinished", "left")).toThrow(/no such file/);
  });
});

describe("signed addresses", () => {
  async function parts() {
    const url = new URL(await store.url("pictures", "ann/job/0.png"), "http://localhost");
    return {
      name: decodeURIComponent(url.pathname.slice("/files/".length)),
      expires: Number(url.searchParams.get("expires")),
      signature: url.searchParams.get("signature") ?? "",
    };
  }

  it("hold for their file and their time only", async () => {
    const { name, expires, signature } = await parts();
    expect(store.verify(name, expires, signature)).toBe(true);
    expect(store.verify("pictures/ann/job/1.png", expires, signature)).toBe(false);
    expect(store.verify(name, expires + 1, signature)).toBe(false);
    expect(store.verify(name, expires, `${signature}x`)).toBe(false);
    expect(store.verify(name, expires, "")).toBe(false);
    nowMs += 61_000;
    expect(store.verify(name, expires, signature)).toBe(false);
  });
});
