import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { CodedError } from "#contract/errors.ts";

/*
 * Writes a tar (POSIX.1-2001, pax interchange format), with the digest of every byte that went into it. The system's
 * program is not used for it: files get and lose names while it reads them, which GNU tar takes for a change, and what it has read it
 * does not digest.
 */
const blockBytes = 512;
const chunkBytes = 1024 * 1024;
/** Eleven octal digits. */
const headerSizeLimit = 0o77777777777;
const headerNameLimit = 100;

/** One file of an archive. */
export interface WrittenFile {
  readonly path: string;
  readonly size_bytes: number;
  readonly sha256: string;
}

interface Entry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly mtimeMs: number;
}

export class TarWriter {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** A new file, for its owner alone from its beginning. @throws CodedError INVALID_REQUEST where none can be made; DISK_FULL */
  static async create(path: string): Promise<TarWriter> {
    try {
      return new TarWriter(await open(path, "wx", 0o600));
    } catch (cause) {
      const code = codeOf(cause);
      if (isFull(code)) throw diskFull(cause);
      throw new CodedError("INVALID_REQUEST", `${path} cannot be written (${code}): name another place.`, { cause });
    }
  }

  /**
   * Adds a file as long as it is now. One that becomes shorter meanwhile is filled up with zeros: it belongs to a running attempt.
   * @throws CodedError DISK_FULL; the signal's reason
   */
  async addFile(path: string, source: string, signal: AbortSignal): Promise<WrittenFile> {
    const file = await open(source, "r");
    try {
      const { size: sizeBytes, mode, mtimeMs } = await file.stat();
      await this.#write(headerOf({ path, sizeBytes, mode: mode & 0o777, mtimeMs }));
      const hash = createHash("sha256");
      const buffer = Buffer.alloc(Math.min(chunkBytes, sizeBytes));
      for (let left = sizeBytes; left > 0; ) {
        signal.throwIfAborted();
        const wanted = Math.min(left, buffer.length);
        const { bytesRead } = await file.read(buffer, 0, wanted);
        const chunk = bytesRead === 0 ? buffer.fill(0).subarray(0, wanted) : buffer.subarray(0, bytesRead);
        hash.update(chunk);
        await this.#write(chunk);
        left -= chunk.length;
      }
      await this.#write(paddingOf(sizeBytes));
      return { path, size_bytes: sizeBytes, sha256: hash.digest("hex") };
    } finally {
      await file.close();
    }
  }

  async addText(path: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    const header = headerOf({ path, sizeBytes: bytes.length, mode: 0o600, mtimeMs: Date.now() });
    await this.#write(Buffer.concat([header, bytes, paddingOf(bytes.length)]));
  }

  /** Writes the archive's end; it is on the disk then. */
  async finish(): Promise<void> {
    await this.#write(Buffer.alloc(2 * blockBytes));
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) done += (await this.#file.write(bytes, done)).bytesWritten;
    } catch (cause) {
      throw isFull(codeOf(cause)) ? diskFull(cause) : cause;
    }
  }
}

function paddingOf(sizeBytes: number): Buffer {
  return Buffer.alloc((blockBytes - (sizeBytes % blockBytes)) % blockBytes);
}

/** What the old header has no room for goes before it, into one of type "x". */
function headerOf(entry: Entry): Buffer {
  const records: string[] = [];
  if (Buffer.byteLength(entry.path) > headerNameLimit) records.push(record("path", entry.path));
  if (entry.sizeBytes > headerSizeLimit) records.push(record("size", String(entry.sizeBytes)));
  const own = block(entry, "0");
  if (records.length === 0) return own;
  const body = Buffer.from(records.join(""));
  const extended = block({ ...entry, path: "pax", sizeBytes: body.length }, "x");
  return Buffer.concat([extended, body, paddingOf(body.length), own]);
}

/** "<length> <key>=<value>\n"; the length counts its own digits. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  const digits = String(bytes + String(bytes).length).length;
  return `${bytes + digits}${rest}`;
}

function block({ path, sizeBytes, mode, mtimeMs }: Entry, type: "0" | "x"): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, digits: number) =>
    header.write(value.toString(8).padStart(digits, "0"), at, digits);
  Buffer.from(path).copy(header, 0, 0, headerNameLimit);
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(Math.min(sizeBytes, headerSizeLimit), 124, 11);
  octal(Math.max(0, Math.floor(mtimeMs / 1000)), 136, 11);
  // The sum is taken with spaces in its own place.
  header.write("        ", 148);
  header.write(type, 156);
  header.write("ustar\x0000", 257);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  header.write("\0 ", 154);
  return header;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
}

function isFull(code: string): boolean {
  return code === "ENOSPC" || code === "EDQUOT";
}

function diskFull(cause: unknown): CodedError {
  return new CodedError("DISK_FULL", "The archive's disk is full: free some space, or name a place on another one.", {
    cause,
  });
}
