/** A file on its way to where the app reads it. */
export interface StoredFile {
  readonly bucket: string;
  /** `{user}/{job}/{index}.{ext}`: the same for every attempt, so that a repeated upload replaces and never adds. */
  readonly path: string;
  /** Absolute path of the local file. */
  readonly file: string;
  readonly mimeType: string;
}

/** Where a job's files end up. */
export interface AssetStore {
  readonly name: string;
  /** Stores the file under its path; a file of the same path is replaced. Safe to repeat. Rejects when it should be tried again. */
  put(file: StoredFile, signal: AbortSignal): Promise<void>;
  /** An address at which the file can be read for a while, null when only the app can make one. */
  url(bucket: string, path: string): Promise<string | null>;
}
