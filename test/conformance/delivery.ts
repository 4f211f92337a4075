import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JobCallback, jobCallback } from "#contract/callback.ts";
import type { Callback } from "#runtime/delivery/callbacks/callback.ts";
import type { AssetStore, FileReader, StoredFile } from "#runtime/delivery/stores/asset-store.ts";

/* What every asset store and every callback has to do, whatever is behind it. */

export interface TestedStore {
  readonly store: AssetStore & FileReader;
  /** What a browser gets at an address that the store gave. */
  open(address: string): Promise<{ readonly bytes: Buffer; readonly mimeType: string }>;
  close(): Promise<void>;
}

/** A store whose bucket `pictures` takes images and videos of up to 20 MB. */
export function describeAssetStore(name: string, start: () => Promise<TestedStore>): void {
  describe(`the asset store ${name}`, () => {
    let tested: TestedStore;
    let folder: string;
    const never = new AbortController().signal;
    beforeAll(async () => {
      tested = await start();
      folder = await mkdtemp(join(tmpdir(), "ourvidz-store-"));
    });
    afterAll(async () => {
      await tested.close();
      await rm(folder, { recursive: true, force: true });
    });

    async function newFile(bytes: Buffer, fileName = "0.png", mimeType = "image/png"): Promise<StoredFile> {
      const file = join(folder, `${randomUUID()}-${fileName}`);
      await writeFile(file, bytes);
      const jobId = randomUUID();
      return { bucket: "pictures", path: `ann/${jobId}/${fileName}`, userId: "ann", jobId, file, mimeType };
    }

    async function opened({ bucket, path }: StoredFile) {
      const address = await tested.store.url(bucket, path);
      if (address === null) throw new Error(`there is no address for ${path}`);
      return tested.open(address);
    }

    it.each([
      ["a picture", 20_000, "0.png", "image/png"],
      ["a thumbnail", 900, "0.thumb.webp", "image/webp"],
      ["an empty file", 0, "1.png", "image/png"],
      ["a video of more than 6 MB", 6 * 1024 * 1024 + 12_345, "2.mp4", "video/mp4"],
    ])("gives back %s as it was put, with its type", async (_what, sizeBytes, fileName, mimeType) => {
      const bytes = randomBytes(sizeBytes);
      const file = await newFile(bytes, fileName, mimeType);
      await tested.store.put(file, never);
      const got = await opened(file);
      expect(got.mimeType).toBe(mimeType);
      expect(got.bytes.equals(bytes)).toBe(true);
    });

    it("reads a file again as long as it is there and not larger than is wanted", async () => {
      const file = await newFile(randomBytes(70_000));
      const read = (maxBytes: number) => tested.store.read(file.bucket, file.path, maxBytes, never);
      expect(await read(100)).toBeNull();
      await tested.store.put(file, never);
      expect(await read(69_999)).toBe("too large");
      expect(await read(70_000)).toEqual(await readFile(file.file));
    });

    it("replaces what another attempt has put, and may be asked twice", async () => {
      const file = await newFile(Buffer.from("of the first attempt"));
      await tested.store.put(file, never);
      await tested.store.put(file, never);
      await writeFile(file.file, "of the second, which is longer");
      await tested.store.put(file, never);
      expect((await opened(file)).bytes.toString()).toBe("of the second, which is longer");
    });

    it("replaces a large file too", async () => {
      const file = await newFile(randomBytes(6_500_000), "0.mp4", "video/mp4");
      await tested.store.put(file, never);
      const second = { ...file, file: (await newFile(randomBytes(6_600_000))).file };
      await tested.store.put(second, never);
      expect((await opened(file)).bytes).toHaveLength(6_600_000);
    });

    it("knows many files' addresses at once", async () => {
      const files = await Promise.all(Array.from({ length: 5 }, (_, index) => newFile(Buffer.from(`file ${index}`))));
      for (const file of files) await tested.store.put(file, never);
      const texts = await Promise.all(files.map(async (file) => (await opened(file)).bytes.toString()));
      expect(texts).toEqual(files.map((_, index) => `file ${index}`));
    });

    it.each([
      ["another user's", (file: StoredFile) => file.path.replace(/^ann/, "bob")],
      ["another job's", (file: StoredFile) => file.path.replace(file.jobId, randomUUID())],
      ["a deeper one", (file: StoredFile) => file.path.replace("0.png", "more/0.png")],
      ["one that climbs", (file: StoredFile) => `ann/${file.jobId}/../../bob/0.png`],
      ["a hidden one", (file: StoredFile) => `ann/${file.jobId}/.0.png`],
      ["none", (file: StoredFile) => `ann/${file.jobId}/`],
    ])("refuses a path that is not the job's: %s", async (_what, change) => {
      const file = await newFile(Buffer.from("bytes"));
      const path = change(file);
      await expect(tested.store.put({ ...file, path }, never)).rejects.toMatchObject({ code: "ASSET_PATH_REFUSED" });
    });

    it("removes all files of a job, those of earlier attempts too, and no other job's", async () => {
      const first = await newFile(Buffer.from("a lake"));
      const { jobId } = first;
      for (const name of ["0.thumb.webp", "1.png"]) {
        const type = name.endsWith("webp") ? "image/webp" : "image/png";
        await tested.store.put(
          { ...(await newFile(Buffer.from("more"), name, type)), jobId, path: `ann/${jobId}/${name}` },
          never,
        );
      }
      await tested.store.put(first, never);
      const other = await newFile(Buffer.from("a hill"));
      await tested.store.put(other, never);
      const job = { bucket: "pictures", userId: "ann", jobId };
      expect(await tested.store.removeJob(job, never)).toBe(3);
      expect(await tested.store.removeJob(job, never)).toBe(0);
      await expect(opened(first)).rejects.toThrow();
      expect((await opened(other)).bytes.toString()).toBe("a hill");
    });

    it.each([
      ["the user's folder", { userId: "ann", jobId: "" }],
      ["what is above", { userId: "ann", jobId: ".." }],
      ["another user's", { userId: "ann/../bob", jobId: "1" }],
      ["a deeper one", { userId: "ann", jobId: "1/2" }],
    ])("refuses to remove %s", async (_what, names) => {
      const refused = tested.store.removeJob({ bucket: "pictures", ...names }, never);
      await expect(refused).rejects.toMatchObject({ code: "ASSET_PATH_REFUSED" });
    });

    it("says so when the local file is gone", async () => {
      const file = await newFile(Buffer.from("bytes"));
      await rm(file.file);
      await expect(tested.store.put(file, never)).rejects.toMatchObject({ code: "ENOENT" });
    });

    it("stops when it is told to, and does it the next time", async () => {
      const file = await newFile(randomBytes(7_000_000), "0.mp4", "video/mp4");
      const reason = new Error("the container stops");
      await expect(tested.store.put(file, AbortSignal.abort(reason))).rejects.toBe(reason);
      await tested.store.put(file, never);
      expect((await opened(file)).bytes).toHaveLength(7_000_000);
    });
  });
}

export interface TestedCallback {
  readonly callback: Callback;
  /** What the app knows of a job, in the order in which it heard of it. */
  known(jobId: string): Promise<readonly JobCallback[]>;
  close(): Promise<void>;
}

export function describeCallback(name: string, start: () => Promise<TestedCallback>): void {
  describe(`the callback ${name}`, () => {
    let tested: TestedCallback;
    const never = new AbortController().signal;
    beforeAll(async () => {
      tested = await start();
    });
    afterAll(() => tested.close());

    const bodyOf = (jobId: string, status: JobCallback["status"], attempt = 1) =>
      jobCallback.parse({
        job_id: jobId,
        status,
        attempt,
        assets:
          status === "completed"
            ? [{ type: "image", url: `ann/${jobId}/0.png`, index: 0, size_bytes: 3, metadata: { seed: 0 } }]
            : [],
        error_message: status === "failed" ? "no lake to be found ü" : null,
        metadata: { job_type: "sdxl_image_fast", ...(status === "processing" ? { progress: 0.5 } : {}) },
      });
    const send = (callback: JobCallback) => tested.callback.send(callback, never);

    it.each(["processing", "completed", "failed", "cancelled"] as const)("brings %s, whole", async (status) => {
      const callback = bodyOf(randomUUID(), status);
      await send(callback);
      expect(await tested.known(callback.job_id)).toEqual([callback]);
    });

    it("may say the same twice, and the app knows it once", async () => {
      const callback = bodyOf(randomUUID(), "completed");
      await send(callback);
      await send(callback);
      expect(await tested.known(callback.job_id)).toEqual([callback]);
    });

    it("keeps the newest progress, and none that comes after the end", async () => {
      const jobId = randomUUID();
      await send(bodyOf(jobId, "processing"));
      const newer = bodyOf(jobId, "processing");
      await send({ ...newer, metadata: { ...newer.metadata, progress: 0.9 } });
      await send(bodyOf(jobId, "failed"));
      await send(bodyOf(jobId, "processing"));
      expect((await tested.known(jobId)).map(({ status, metadata }) => [status, metadata.progress])).toEqual([
        ["processing", 0.9],
        ["failed", undefined],
      ]);
    });
  });
}
