import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Rows of float32 numbers, and a number that goes with them. */
export interface CachedRows {
  readonly rows: Float32Array;
  readonly width: number;
  /** What was left out of the text: kept, because it is reported also when nothing is encoded. */
  readonly cutTokens: number;
}

export interface EmbeddingCacheOptions {
  /** Where entries are kept over restarts; without it they are in memory only. */
  readonly folder?: string | undefined;
  readonly maxMemoryBytes?: number;
  readonly maxDiskBytes?: number;
}

const defaultMaxMemoryBytes = 64 * 2 ** 20;
const defaultMaxDiskBytes = 256 * 2 ** 20;

const partSuffix = ".part";

/** Nothing takes so long to write. */
const abandonedAfterMs = 10 * 60_000;

/** Of an entry on disk: width and cut tokens as two little-endian words, then the rows. */
const headerBytes = 8;

/**
 * Text embeddings by what they were made of (model, text, settings), so that the second job of a prompt needs no text
 * encoder. Bounded in memory and on disk: what was used longest ago goes first. The disk is a courtesy: what cannot be
 * read or written there is encoded again.
 */
export class EmbeddingCache {
  readonly #folder: string | undefined;
  readonly #maxMemoryBytes: number;
  readonly #maxDiskBytes: number;
  /** In the order of their last use. */
  readonly #inMemory = new Map<string, CachedRows>();
  #memoryBytes = 0;

  constructor(options: EmbeddingCacheOptions = {}) {
    this.#folder = options.folder;
    this.#maxMemoryBytes = options.maxMemoryBytes ?? defaultMaxMemoryBytes;
    this.#maxDiskBytes = options.maxDiskBytes ?? defaultMaxDiskBytes;
  }

  /** @param parts what the embedding depends on, in a fixed order */
  static keyOf(parts: readonly string[]): string {
    return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  }

  async get(key: string): Promise<CachedRows | undefined> {
    const found = this.#inMemory.get(key) ?? (await this.#read(key));
    if (found !== undefined) this.#remember(key, found);
    return found;
  }

  async set(key: string, entry: CachedRows): Promise<void> {
    this.#remember(key, entry);
    await this.#write(key, entry);
  }

  #remember(key: string, entry: CachedRows): void {
    const known = this.#inMemory.get(key);
    if (known !== undefined) this.#memoryBytes -= known.rows.byteLength;
    this.#inMemory.delete(key);
    this.#inMemory.set(key, entry);
    this.#memoryBytes += entry.rows.byteLength;
    for (const [oldest, { rows }] of this.#inMemory) {
      if (this.#memoryBytes <= this.#maxMemoryBytes) break;
      this.#inMemory.delete(oldest);
      this.#memoryBytes -= rows.byteLength;
    }
  }

  async #read(key: string): Promise<CachedRows | undefined> {
    if (this.#folder === undefined) return undefined;
    const path = join(this.#folder, key);
    try {
      const bytes = await readFile(path);
      const now = new Date();
      await utimes(path, now, now);
      return decode(bytes);
    } catch {
      return undefined;
    }
  }

  async #write(key: string, entry: CachedRows): Promise<void> {
    if (this.#folder === undefined) return;
    const part = join(this.#folder, `.${randomUUID()}${partSuffix}`);
    try {
      await mkdir(this.#folder, { recursive: true });
      await writeFile(part, encode(entry));
      await rename(part, join(this.#folder, key));
      await this.#trim(this.#folder);
    } catch {
      await rm(part, { force: true }).catch(() => undefined);
    }
  }

  /** Removes what was used longest ago, and what a killed process left half written; another one may be writing now. */
  async #trim(folder: string): Promise<void> {
    const files = await Promise.all(
      (await readdir(folder)).map(async (name) => {
        const { size, mtimeMs } = await stat(join(folder, name));
        return { name, size, mtimeMs };
      }),
    );
    const isPart = ({ name }: { readonly name: string }) => name.endsWith(partSuffix);
    for (const { name, mtimeMs } of files.filter(isPart)) {
      if (Date.now() - mtimeMs > abandonedAfterMs) await rm(join(folder, name), { force: true });
    }
    const entries = files.filter((file) => !isPart(file));
    let sum = 0;
    for (const { name, size } of entries.sort((one, other) => other.mtimeMs - one.mtimeMs)) {
      sum += size;
      if (sum > this.#maxDiskBytes) await rm(join(folder, name), { force: true });
    }
  }
}

function encode({ rows, width, cutTokens }: CachedRows): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(width, 0);
  header.writeUInt32LE(cutTokens, 4);
  return Buffer.concat([header, Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength)]);
}

/** Undefined for what is no whole entry. */
function decode(bytes: Buffer): CachedRows | undefined {
  if (bytes.length <= headerBytes) return undefined;
  const width = bytes.readUInt32LE(0);
  const rows = new Uint8Array(bytes.subarray(headerBytes));
  if (width === 0 || rows.length % (4 * width) !== 0) return undefined;
  return { rows: new Float32Array(rows.buffer), width, cutTokens: bytes.readUInt32LE(4) };
}
