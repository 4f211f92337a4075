import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import type { GuardedAnswer } from "./guarded-request.ts";
import type { HubClient, HubFile } from "./hub-client.ts";
import { PassingFault } from "./hub-errors.ts";
import { withRetries } from "./retries.ts";

/*
 * One file of the hub:
 *
 *   (nothing) ──► <file>.part ──whole, and the content has the listed digest──► <file>
 *                    ▲   │
 *                    │   └──other content: removed, fetched once more, then an error
 *                    └── goes on from its last byte, after any break
 *
 * What has its own name is therefore whole and true; nothing else says so.
 */
export interface Download {
  readonly client: Pick<HubClient, "content" | "limits" | "host">;
  readonly file: HubFile;
  readonly commit: string;
  /** Where it goes. */
  readonly target: string;
  readonly signal: AbortSignal;
  /** How many of its bytes are here. Goes back when they were the wrong ones. */
  onBytes(here: number): void;
}

/** How often wrong content is fetched before the hub, or a proxy before it, is taken to have no other. */
const maxWrong = 2;

/**
 * Returns the SHA-256 of the content.
 * @throws CodedError HUB_UNREACHABLE, HUB_REFUSED, MODEL_INVALID (wrong content, twice), DISK_FULL; the signal's reason
 */
export async function downloadFile(download: Download): Promise<string> {
  const { client, file, target, signal } = download;
  const known = await digestOfWhole(file, target);
  if (known !== null) return known;
  await mkdir(dirname(target), { recursive: true });
  const part = await openPart(`${target}.part`);
  const content = new PartContent(part, download);
  try {
    await content.readBack();
    await withRetries({ limits: client.limits, host: client.host, signal }, async (moved) => {
      for (let wrong = 0; ; ) {
        await content.fetchRest(moved);
        if (content.isTrue) return;
        wrong++;
        if (wrong === maxWrong) throw wrongContent(file);
        await content.startOver();
      }
    });
    await part.sync();
  } catch (error) {
    if (error instanceof CodedError && error.code === "MODEL_INVALID") await part.truncate(0);
    throw storageError(error, target);
  } finally {
    await part.close();
  }
  await rename(`${target}.part`, target);
  await syncFolder(dirname(target));
  return content.sha256;
}

/** How many bytes of a file are here already, of earlier pulls. */
export async function bytesHere(target: string): Promise<number> {
  const found = (await stat(target).catch(() => null)) ?? (await stat(`${target}.part`).catch(() => null));
  return found?.size ?? 0;
}

/** The SHA-256 of a file that came before; null when it has not. */
async function digestOfWhole({ sizeBytes, digest }: HubFile, target: string): Promise<string | null> {
  const found = await stat(target).catch(() => null);
  if (found?.size !== sizeBytes) return null;
  if (digest.algorithm === "sha256") return digest.hex;
  return createHash("sha256")
    .update(await readFile(target))
    .digest("hex");
}

class PartContent {
  readonly #part: FileHandle;
  readonly #download: Download;
  #digests: Digests;
  #length = 0;

  constructor(part: FileHandle, download: Download) {
    this.#part = part;
    this.#download = download;
    this.#digests = new Digests(download.file);
  }

  /** What an earlier pull has left goes into the digest. */
  async readBack(): Promise<void> {
    const { file, signal, onBytes, target } = this.#download;
    const { size } = await this.#part.stat();
    if (size > file.sizeBytes) await this.#part.truncate(0);
    else if (size > 0) {
      const reader = createReadStream(`${target}.part`, { end: size - 1, highWaterMark: 2 ** 20, signal });
      for await (const bytes of reader) this.#digests.update(bytes);
      this.#length = size;
    }
    onBytes(this.#length);
  }

  /** @throws PassingFault when there is more to come */
  async fetchRest(moved: () => void): Promise<void> {
    const { client, file, commit, signal, onBytes } = this.#download;
    if (this.#length === file.sizeBytes) return;
    const answer = await client.content(file, commit, this.#length, signal);
    try {
      checkHead(answer, file, commit);
      if (this.#length > 0 && !continuesAt(answer, this.#length, file)) await this.startOver();
      if (answer.status === 416) throw new PassingFault("the server has no more of the file");
      for await (const bytes of answer.body) {
        if (this.#length + bytes.byteLength > file.sizeBytes) throw wrongContent(file);
        await writeAll(this.#part, bytes, this.#length);
        this.#digests.update(bytes);
        this.#length += bytes.byteLength;
        moved();
        onBytes(this.#length);
      }
    } finally {
      answer.close();
    }
    if (this.#length < file.sizeBytes)
      throw new PassingFault(`the transfer ended at ${this.#length} of ${file.sizeBytes} bytes`);
  }

  async startOver(): Promise<void> {
    const { file, onBytes } = this.#download;
    await this.#part.truncate(0);
    this.#digests = new Digests(file);
    this.#length = 0;
    onBytes(0);
  }

  get isTrue(): boolean {
    return this.#digests.listed === this.#download.file.digest.hex;
  }

  get sha256(): string {
    return this.#digests.sha256;
  }
}

/** The digests by which a file's content is known. Git's is of small files alone: a second one of gigabytes takes seconds. */
class Digests {
  readonly #sha256 = createHash("sha256");
  readonly #git: Hash | null;

  constructor({ sizeBytes, digest }: HubFile) {
    this.#git = digest.algorithm === "sha256" ? null : createHash("sha1").update(`blob ${sizeBytes}\0`);
  }

  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    this.#git?.update(bytes);
  }

  get listed(): string {
    return (this.#git ?? this.#sha256).copy().digest("hex");
  }

  get sha256(): string {
    return this.#sha256.copy().digest("hex");
  }
}

async function openPart(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    return open(path, "w+").catch((cause: unknown) => {
      throw storageError(cause, path);
    });
  }
}

/** What the hub says of the file before it sends it: another content is not fetched at all. */
function checkHead({ hubHeaders }: GuardedAnswer, file: HubFile, commit: string): void {
  const size = hubHeaders.get("x-linked-size");
  const at = hubHeaders.get("x-repo-commit");
  const etag = (hubHeaders.get("x-linked-etag") ?? "").replaceAll(/^W\/|"/g, "");
  const isOther =
    (size !== null && Number(size) !== file.sizeBytes) ||
    (at !== null && at !== commit) ||
    (file.digest.algorithm === "sha256" && /^[0-9a-f]{64}$/.test(etag) && etag !== file.digest.hex);
  if (isOther) throw wrongContent(file);
}

/** Whether the answer is what was asked for, and not the file from its beginning. @throws PassingFault for another part of it */
function continuesAt({ status, headers }: GuardedAnswer, fromByte: number, { sizeBytes }: HubFile): boolean {
  if (status !== 206) return false;
  const range = headers.get("content-range");
  if (range === `bytes ${fromByte}-${sizeBytes - 1}/${sizeBytes}`) return true;
  throw new PassingFault("the server sent another part of the file than was asked for");
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.byteLength - written, position + written);
    written += bytesWritten;
  }
}

function wrongContent({ path }: HubFile): CodedError {
  return new CodedError(
    "MODEL_INVALID",
    `${path} came with other content than the hub lists: nothing of it is kept. A proxy on the way may be the reason; try again later.`,
  );
}

/** @param path what could not be written */
export function storageError(error: unknown, path: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT")
    return new CodedError(
      "DISK_FULL",
      `The disk of ${path} is full: free some space and run it again, and it goes on from where it stopped.`,
      { cause: error },
    );
  return error;
}
