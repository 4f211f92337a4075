import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, normalize, sep } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { syncFile, syncFolder } from "#runtime/lib/durable-files.ts";
import {
  type AssetStore,
  assertJobPath,
  type FileReader,
  type JobFolder,
  jobFolderOf,
  type StoredFile,
} from "./asset-store.ts";

/*
 * The embedded asset store: a folder, served by the container under `/files/<bucket>/<path>` with signed, expiring
 * addresses. A file gets its name when it is whole; until then it is in one folder with all other unfinished ones, so that
 * what a killed process leaves is found without a look at every file.
 */
export interface LocalAssetStoreOptions {
  readonly folder: string;
  readonly signingKey: Uint8Array;
  readonly nowMs: () => number;
  readonly urlSeconds?: number;
}

/** Nobody can request what is in it: no bucket's name begins with a dot. */
const unfinishedFolder = ".unfinished";

export class LocalAssetStore implements AssetStore, FileReader {
  readonly name = "local";
  readonly #options: LocalAssetStoreOptions;
  readonly #unfinished: string;

  constructor(options: LocalAssetStoreOptions) {
    this.#options = options;
    this.#unfinished = join(options.folder, unfinishedFolder);
  }

  async put(file: StoredFile, signal?: AbortSignal): Promise<void> {
    assertJobPath(file);
    signal?.throwIfAborted();
    const target = this.locate(file.bucket, file.path);
    await Promise.all([this.#unfinished, dirname(target)].map((folder) => mkdir(folder, { recursive: true })));
    const temporary = join(this.#unfinished, randomUUID());
    try {
      // A hard link costs no space and no time; across file systems the bytes are copied.
      await link(file.file, temporary).catch(async () => {
        await copyFile(file.file, temporary);
        await syncFile(temporary);
      });
      await rename(temporary, target);
    } finally {
      // rename() of two links of one file does nothing and leaves the source (POSIX): a repeated put.
      await rm(temporary, { force: true });
    }
    await syncFolder(dirname(target));
  }

  async removeJob(job: JobFolder): Promise<number> {
    const folder = this.locate(job.bucket, jobFolderOf(job));
    const files = await readdir(folder).catch(() => []);
    await rm(folder, { recursive: true, force: true });
    return files.length;
  }

  async remove(bucket: string, path: string): Promise<void> {
    await rm(this.locate(bucket, path), { force: true });
  }

  /** Removes what processes left that died while they stored a file. Only what is old: another process may be at work. */
  async removeUnfinished(olderThanMs: number): Promise<void> {
    for (const name of await readdir(this.#unfinished).catch(() => [])) {
      const path = join(this.#unfinished, name);
      // When the link was made, not when the bytes were written.
      const file = await stat(path).catch(() => null);
      if (file !== null && this.#options.nowMs() - file.ctimeMs > olderThanMs) await rm(path, { force: true });
    }
  }

  async read(bucket: string, path: string, maxBytes: number): Promise<Uint8Array | "too large" | null> {
    const file = this.locate(bucket, path);
    const found = await stat(file).catch(() => null);
    if (found === null || !found.isFile()) return null;
    // Retention may take it in between.
    return found.size > maxBytes ? "too large" : await readFile(file).catch(() => null);
  }

  /** Path and query of a signed address, to be put behind the container's own address. */
  async url(bucket: string, path: string, seconds = this.#options.urlSeconds ?? 3600): Promise<string> {
    const expires = Math.floor(this.#options.nowMs() / 1000) + Math.ceil(seconds);
    const name = `${bucket}/${path}`;
    return `/files/${name.split("/").map(encodeURIComponent).join("/")}?expires=${expires}&signature=${this.#sign(name, expires)}`;
  }

  /** True when the signature was made here for this file and has not expired. Compared in constant time. */
  verify(name: string, expires: number, signature: string): boolean {
    const expected = Buffer.from(this.#sign(name, expires));
    const given = Buffer.from(signature);
    return (
      given.length === expected.length && timingSafeEqual(given, expected) && expires * 1000 > this.#options.nowMs()
    );
  }

  /**
   * The file's absolute path.
   * @throws CodedError NOT_FOUND when the name would leave the store's folder
   */
  locate(bucket: string, path: string): string {
    const root = this.#options.folder;
    const target = normalize(join(root, bucket, path));
    const parts = [bucket, ...path.split("/")];
    if (
      !target.startsWith(root + sep) ||
      parts.some((part) => part === "" || part.startsWith(".") || part.includes("\0"))
    ) {
      throw new CodedError("NOT_FOUND", "There is no such file.");
    }
    return target;
  }

  #sign(name: string, expires: number): string {
    return createHmac("sha256", this.#options.signingKey).update(`${name}\n${expires}`).digest("base64url");
  }
}
