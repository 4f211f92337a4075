import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CodedError, PermanentError } from "#contract/errors.ts";
import { inputBucket, inputFolder } from "#contract/input-address.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import type { AssetStore } from "#runtime/delivery/stores/asset-store.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { type InputKind, inputKinds } from "../limits.ts";
import { checkPictureSize } from "../picture.ts";
import { type Content, writeContent } from "../write-content.ts";
import { pictureHeader } from "./picture-header.ts";
import { uploadPath } from "./upload-path.ts";
import type { Upload, UploadRows, UploadUsage } from "./upload-rows.ts";

/*
 * Files that users have uploaded for their jobs, by content: uploaded twice, a file is there once, and is kept longer. They lie
 * where results go (the app's storage, where every container reads them, or the data folder); whose they are and how long they
 * are kept is in the database of the container that took them.
 *
 *   under way ──whole, of an allowed kind──► kept ──expired, and no job that waits or runs names it──► gone
 *       └──broken off, too large, of another kind──► gone
 */
export interface UploadStore extends Pick<AssetStore, "name" | "put"> {
  url(bucket: string, path: string, seconds?: number): Promise<string | null>;
  /** Deletes a file; one that is not there is passed over. */
  remove(bucket: string, path: string, signal: AbortSignal): Promise<void>;
}

export interface UploadLimits {
  /** Of one file of a kind. */
  readonly fileBytes: Readonly<Record<InputKind, number>>;
  /** Of one user's files together. */
  readonly userBytes: number;
  /** Of all that are kept here. */
  readonly totalBytes: number;
  /** How long a file is kept after it was uploaded, or named by a job, for the last time. */
  readonly keepMs: number;
}

export interface UploadsOptions {
  readonly rows: UploadRows;
  readonly store: UploadStore;
  /** For what is under way. */
  readonly folder: string;
  readonly limits: UploadLimits;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Whether a job waits or runs. Rejects when that is not known. */
  isActive(jobId: string): Promise<boolean>;
}

export interface UploadRequest {
  readonly userId: string;
  readonly content: AsyncIterable<Uint8Array>;
  /** What the client says that will come. */
  readonly announcedBytes?: number | undefined;
  readonly signal: AbortSignal;
}

/** Many small ones cost as much as a few large ones. */
const maxFilesOfUser = 10_000;
const maxUnderWay = 16;
const removeLimitMs = 30_000;

export class Uploads {
  readonly limits: UploadLimits;
  readonly #options: UploadsOptions;
  /** Bytes of uploads that are under way, by upload. */
  readonly #underWay = new Map<symbol, { readonly userId: string; readonly bytes: number }>();
  /** Of each user, and of all under null, as it was at the last change here: each piece of an upload is held against it. */
  readonly #usage = new Map<string | null, UploadUsage>();

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.limits = options.limits;
  }

  /**
   * Takes a file in. `created` is false for one that the user has here already.
   *
   * @throws CodedError BODY_TOO_LARGE, INPUTS_FULL, OVERLOADED, DISK_FULL, INPUT_INVALID, INPUT_TOO_LARGE; what the store and
   *   `content` throw
   */
  async add(request: UploadRequest): Promise<{ readonly upload: Upload; readonly created: boolean }> {
    const { userId, announcedBytes = 0 } = request;
    if (this.#underWay.size >= maxUnderWay)
      throw new CodedError("OVERLOADED", `${maxUnderWay} files are being uploaded: try again in a moment.`);
    const largest = Math.max(...Object.values(this.limits.fileBytes));
    if (announcedBytes > largest) throw tooLarge(largest);
    const place = Symbol();
    this.#underWay.set(place, { userId, bytes: 0 });
    const file = join(this.#options.folder, randomUUID());
    this.#usage.clear();
    try {
      await this.#makeRoom(userId, Math.max(1, announcedBytes));
      await makeFolder(this.#options.folder);
      const content = await this.#write(request, place, file);
      return await this.#keep(request, content, file);
    } catch (error) {
      throw isDiskFull(error) ? diskFull(error) : error;
    } finally {
      this.#underWay.delete(place);
      await rm(file, { force: true });
    }
  }

  /** One user's, or, of nobody in particular, anybody's. */
  find(userId: string | null, sha256: string): Upload | null {
    return this.#options.rows.find(userId, sha256);
  }

  /** An address at which it can be read for a while; of the data folder's own store, for as long as it is to be. */
  url({ userId, sha256, mimeType }: Upload, seconds?: number): Promise<string | null> {
    return this.#options.store.url(inputBucket, uploadPath(userId, sha256, mimeType), seconds);
  }

  /** Whether other containers can read what was uploaded here. */
  get isShared(): boolean {
    return this.#options.store.name !== "local";
  }

  /** A job names it: it is kept as if it had been uploaded now, and while the job waits or runs. */
  async use(upload: Upload, jobId: string): Promise<void> {
    await this.#options.rows.use(upload, jobId, this.#options.nowMs() + this.limits.keepMs);
  }

  /** Deletes one user's file, or, of nobody in particular, all with this content; returns how many there were. */
  async remove(userId: string | null, sha256: string): Promise<number> {
    const found = this.#options.rows.all(userId, sha256);
    for (const upload of found) await this.#remove(upload);
    return found.length;
  }

  /** Deletes what has expired and no job needs; returns how many files went. */
  async removeExpired(): Promise<number> {
    let removed = 0;
    for (const upload of this.#options.rows.expired(this.#options.nowMs())) {
      if (await this.#isNeeded(upload)) continue;
      await this.#remove(upload);
      removed++;
    }
    return removed;
  }

  /** A queue that does not answer may have its job. */
  async #isNeeded(upload: Upload): Promise<boolean> {
    for (const jobId of this.#options.rows.usesOf(upload)) {
      if (await this.#options.isActive(jobId).catch(() => true)) return true;
    }
    return false;
  }

  async #remove(upload: Upload): Promise<void> {
    const { userId, sha256, mimeType } = upload;
    const path = uploadPath(userId, sha256, mimeType);
    // The row last: what could not be deleted is tried again.
    await this.#options.store.remove(inputBucket, path, AbortSignal.timeout(removeLimitMs));
    await this.#options.rows.remove(upload);
    this.#usage.clear();
  }

  #write({ content, userId }: UploadRequest, place: symbol, file: string): Promise<Content> {
    const { fileBytes } = this.limits;
    return writeContent(content, file, {
      kinds: inputKinds,
      maxBytes: (kind) => fileBytes[kind],
      tooLarge,
      invalid: (why) => new PermanentError(`The file cannot be taken: ${why}.`, { code: "INPUT_INVALID" }),
      onBytes: (size) => {
        this.#underWay.set(place, { userId, bytes: size });
        const problem = this.#lack(userId, 0);
        if (problem !== null) throw problem;
      },
    });
  }

  async #keep({ userId, signal }: UploadRequest, content: Content, file: string) {
    const { rows, store, nowMs, log } = this.#options;
    const { sha256, mimeType, sizeBytes } = content;
    const size = await checkedSize(file, content);
    const path = uploadPath(userId, sha256, mimeType);
    const known = rows.find(userId, sha256);
    await store.put({ bucket: inputBucket, path, userId, jobId: inputFolder, file, mimeType }, signal);
    const times = { createdAtMs: known?.createdAtMs ?? nowMs(), expiresAtMs: nowMs() + this.limits.keepMs };
    const upload = { userId, sha256, mimeType, sizeBytes, ...size, ...times };
    await rows.put(upload);
    this.#usage.clear();
    log.info({ user_id: userId, sha256, mime_type: mimeType, bytes: sizeBytes }, "input uploaded");
    return { upload, created: known === null };
  }

  /** What has expired makes room. @throws CodedError INPUTS_FULL */
  async #makeRoom(userId: string, wanted: number): Promise<void> {
    if (this.#lack(userId, wanted) === null) return;
    await this.removeExpired();
    const problem = this.#lack(userId, wanted);
    if (problem !== null) throw problem;
  }

  /** What there is no room for; null when there is. */
  #lack(userId: string, wanted: number): CodedError | null {
    const { userBytes, totalBytes } = this.limits;
    const underWay = [...this.#underWay.values()];
    const sum = (places: typeof underWay) => places.reduce((total, place) => total + place.bytes, wanted);
    const own = this.#usageOf(userId);
    if (own.bytes + sum(underWay.filter((place) => place.userId === userId)) > userBytes)
      return full(
        `The user ${userId} may keep ${inMegabytes(userBytes)} of inputs here, and has ${inMegabytes(own.bytes)}`,
      );
    if (own.files >= maxFilesOfUser)
      return full(`The user ${userId} has ${maxFilesOfUser.toString()} inputs here, which is the limit`);
    const all = this.#usageOf(null);
    if (all.bytes + sum(underWay) > totalBytes)
      return full(`This container keeps ${inMegabytes(totalBytes)} of inputs, and has ${inMegabytes(all.bytes)}`);
    return null;
  }

  #usageOf(userId: string | null): UploadUsage {
    const { rows } = this.#options;
    const usage = this.#usage.get(userId) ?? (userId === null ? rows.usage() : rows.usageOf(userId));
    this.#usage.set(userId, usage);
    return usage;
  }
}

/** @throws PermanentError INPUT_INVALID, INPUT_TOO_LARGE */
async function checkedSize(file: string, { mimeType }: Content): Promise<Pick<Upload, "width" | "height">> {
  const size = await pictureHeader(file, mimeType);
  if (size === undefined) return { width: null, height: null };
  if (size === null)
    throw new PermanentError("The picture cannot be taken: its header is damaged.", { code: "INPUT_INVALID" });
  checkPictureSize("The picture", size.width, size.height);
  return size;
}

function tooLarge(maxBytes: number): CodedError {
  return new CodedError("BODY_TOO_LARGE", `The file is larger than ${inMegabytes(maxBytes)}, which is the limit.`);
}

function inMegabytes(count: number): string {
  return `${Math.floor(count / 2 ** 20)} MB`;
}

function full(what: string): CodedError {
  return new CodedError("INPUTS_FULL", `${what}: delete some (DELETE /inputs/:id), or wait until they expire.`);
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function diskFull(cause: unknown): CodedError {
  const message = "The disk is full: free some space in the data folder (DATA_DIR), and upload the file again.";
  return new CodedError("DISK_FULL", message, { cause });
}
