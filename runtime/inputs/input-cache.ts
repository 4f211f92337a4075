import { createHash, randomUUID } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { copyFile, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { fetchedMimeTypes } from "./limits.ts";

/*
 * Downloaded reference files, by content. In the folder:
 *
 *   partial/<random>      downloads that are under way
 *   content/<sha256>      finished ones; a file's time says when it was last used
 *   addresses/<sha256>    which content an address had, with what its server needs to tell whether it still has it
 *
 * Several containers may share the folder: files appear by renaming, whole or not at all; whoever removes one that another
 * is about to use costs it a download; and content is hashed again before it is used. Nothing is trusted by its address
 * alone: its server is queried each time, with the token of each caller.
 */
const cachedAddress = z.object({
  content: z.object({
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    sizeBytes: z.int().min(1),
    mimeType: z.enum(fetchedMimeTypes),
  }),
  etag: z.string().optional(),
  lastModified: z.string().optional(),
});
export type CachedAddress = z.output<typeof cachedAddress>;

export interface InputCacheOptions {
  readonly folder: string;
  /** 0 keeps nothing. */
  readonly maxBytes: number;
  readonly nowMs: () => number;
}

/** Longer than any download may take. */
const abandonedAfterMs = 60 * 60 * 1000;
const maxAddresses = 10_000;

export class InputCache {
  readonly #options: InputCacheOptions;
  readonly #partial: string;
  readonly #content: string;
  readonly #addresses: string;
  #prepared: Promise<void> | null = null;
  #trimming: Promise<void> = Promise.resolve();

  constructor(options: InputCacheOptions) {
    this.#options = options;
    this.#partial = partialFolder(options.folder);
    this.#content = join(options.folder, "content");
    this.#addresses = join(options.folder, "addresses");
  }

  /** A path for a download; what lies there when its process dies is removed later. */
  async partialFile(): Promise<string> {
    await this.#prepare();
    return join(this.#partial, randomUUID());
  }

  /** What this address had the last time; null when that is not known or no longer kept. */
  async find(url: URL): Promise<CachedAddress | null> {
    if (this.#options.maxBytes === 0) return null;
    const text = await readFile(this.#addressFile(url), "utf8").catch(() => null);
    const address = text === null ? null : readAddress(text);
    if (address === null) return null;
    const kept = await stat(this.#contentFile(address.content.sha256)).catch(() => null);
    return kept?.size === address.content.sizeBytes ? address : null;
  }

  /** Copies the content of an address to `target`; false when it is gone, or is not what its name says any more. */
  async copyTo(target: string, url: URL, { content }: CachedAddress): Promise<boolean> {
    const file = this.#contentFile(content.sha256);
    try {
      await copyFile(file, target, constants.COPYFILE_FICLONE);
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    if ((await hashOf(target)) !== content.sha256) {
      await Promise.all([rm(target, { force: true }), rm(file, { force: true })]);
      return false;
    }
    const now = new Date(this.#options.nowMs());
    await Promise.all([file, this.#addressFile(url)].map((path) => utimes(path, now, now).catch(() => undefined)));
    return true;
  }

  /** Takes over a finished download; what was used longest ago makes room for it. */
  async keep(url: URL, partialFile: string, address: CachedAddress): Promise<void> {
    if (address.content.sizeBytes > this.#options.maxBytes) {
      await rm(partialFile, { force: true });
      return;
    }
    await rename(partialFile, this.#contentFile(address.content.sha256));
    const temporary = await this.partialFile();
    await writeFile(temporary, JSON.stringify(address));
    await rename(temporary, this.#addressFile(url));
    this.#trimming = this.#trimming.then(() => this.#trim()).catch(() => undefined);
    await this.#trimming;
  }

  /** Keeps content within its size and addresses within their number. What another process removes meanwhile is gone too. */
  async #trim(): Promise<void> {
    const [content, addresses] = await Promise.all([filesIn(this.#content), filesIn(this.#addresses)]);
    let total = content.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const { path, sizeBytes } of content) {
      if (total <= this.#options.maxBytes) break;
      await rm(path, { force: true });
      total -= sizeBytes;
    }
    const spare = addresses.slice(0, Math.max(0, addresses.length - maxAddresses));
    for (const { path } of spare) await rm(path, { force: true });
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#makeFolders().catch((error: unknown) => {
      this.#prepared = null;
      throw error;
    });
    return this.#prepared;
  }

  async #makeFolders(): Promise<void> {
    for (const folder of [this.#partial, this.#content, this.#addresses]) await makeFolder(folder);
    const oldestMs = this.#options.nowMs() - abandonedAfterMs;
    for (const { path, usedAtMs } of await filesIn(this.#partial)) {
      if (usedAtMs < oldestMs) await rm(path, { force: true });
    }
  }

  #contentFile(sha256: string): string {
    return join(this.#content, sha256);
  }

  #addressFile(url: URL): string {
    return join(this.#addresses, createHash("sha256").update(withoutToken(url)).digest("hex"));
  }
}

/** For files that are not whole yet. */
export function partialFolder(folder: string): string {
  return join(folder, "partial");
}

/** Signed anew, an address still means the same file. */
function withoutToken(url: URL): string {
  const plain = new URL(url);
  for (const name of [...plain.searchParams.keys()]) {
    if (name === "token" || name.startsWith("X-Amz-")) plain.searchParams.delete(name);
  }
  return plain.href;
}

function readAddress(text: string): CachedAddress | null {
  try {
    return cachedAddress.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

interface KeptFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

/** The longest unused first. */
async function filesIn(folder: string): Promise<KeptFile[]> {
  const files: KeptFile[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const entry = await stat(path).catch(() => null);
    if (entry !== null) files.push({ path, sizeBytes: entry.size, usedAtMs: entry.mtimeMs });
  }
  return files.sort((a, b) => a.usedAtMs - b.usedAtMs);
}

/** SHA-256 of a file, in hexadecimal. */
export async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
