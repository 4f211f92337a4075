import { PermanentError } from "#contract/errors.ts";

/** A file on its way to where the app reads it. */
export interface StoredFile {
  readonly bucket: string;
  /** `{user}/{job}/{index}.{ext}`: the same for every attempt, so that a repeated upload replaces and never adds. */
  readonly path: string;
  /** Whose file it is, repeated here: no store takes a path outside of `{user}/{job}/`. */
  readonly userId: string;
  readonly jobId: string;
  /** Absolute path of the local file. */
  readonly file: string;
  readonly mimeType: string;
  /** Names the span that the storing belongs to. */
  readonly traceparent?: string | undefined;
}

/** Where all files of a job are. */
export interface JobFolder extends Pick<StoredFile, "bucket" | "userId" | "jobId"> {}

/** Where a job's files end up. */
export interface AssetStore {
  readonly name: string;
  /**
   * Stores the file under its path; a file of the same path is replaced. Safe to repeat. Rejects when it should be tried
   * again; a RetryableError's delay is respected, a PermanentError says that this file will never be taken.
   */
  put(file: StoredFile, signal: AbortSignal): Promise<void>;
  /** An address at which the file can be read for a while, null when only the app can make one, or nobody just now. */
  url(bucket: string, path: string): Promise<string | null>;
  /** Deletes all files of a job, those of earlier attempts too; returns how many there were. Safe to repeat. */
  removeJob(folder: JobFolder, signal: AbortSignal): Promise<number>;
}

/** A store from which a container reads files again, for an answer that holds them. */
export interface FileReader {
  /**
   * A stored file; null when there is none. What has more than `maxBytes` is not read.
   * @throws CodedError STORAGE_UNREACHABLE
   */
  read(bucket: string, path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | "too large" | null>;
}

const safeName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** @throws PermanentError ASSET_PATH_REFUSED for a path that is not that of a file of this job */
export function assertJobPath({ path, userId, jobId }: Pick<StoredFile, "path" | "userId" | "jobId">): void {
  const prefix = `${userId}/${jobId}/`;
  if (path.startsWith(prefix) && safeName.test(path.slice(prefix.length))) return;
  throw new PermanentError(`The path "${path}" is not that of a file of job ${jobId} (${prefix}<name>).`, {
    code: "ASSET_PATH_REFUSED",
  });
}

/**
 * The folder of a job's files: `{user}/{job}`.
 * @throws PermanentError ASSET_PATH_REFUSED for names by which another folder would be meant
 */
export function jobFolderOf({ userId, jobId }: JobFolder): string {
  if (safeName.test(userId) && safeName.test(jobId)) return `${userId}/${jobId}`;
  throw new PermanentError(`The job ${jobId} of the user ${userId} has no folder: its names are not safe.`, {
    code: "ASSET_PATH_REFUSED",
  });
}

/** Whether this is a file's name as the stores give them. */
export function isFileName(name: string): boolean {
  return safeName.test(name);
}
