import { CodedError } from "#contract/errors.ts";

/*
 * What SQLite and the file system report, as coded errors. Primary result codes are the low byte of an extended
 * code (https://sqlite.org/rescode.html).
 */
const primary = {
  permission: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  inputOutput: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

/** Growing the `-shm` file failed; on a full disk this comes before SQLITE_FULL does. */
const sharedMemorySize = 4874;

const unusable: Readonly<Record<number, string>> = {
  [primary.permission]: "may not be accessed",
  [primary.readOnly]: "is read-only",
  [primary.inputOutput]: "could not be read or written",
  [primary.corrupt]: "is damaged",
  [primary.cannotOpen]: "could not be opened",
  [primary.notADatabase]: "is not a database, or is damaged",
};

const remedies: Readonly<Record<number, string>> = {
  [primary.corrupt]: "restore it from a backup, or move it away to start with an empty one",
  [primary.notADatabase]: "restore it from a backup, or move it away to start with an empty one",
};

const chooseAnotherFolder = "make the folder readable and writable, or set DATA_DIR to another one";

/** Extended SQLite result code of a thrown value, undefined when it does not come from SQLite. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

/** Another connection holds the lock; the same call may succeed a moment later. */
export function isBusy(error: unknown): boolean {
  const code = (sqliteCode(error) ?? 0) & 0xff;
  return code === primary.busy || code === primary.locked;
}

/** Any error of the database file at `path` as a coded error; errors of the caller (constraints, bugs) stay as they are. */
export function toDatabaseError(error: unknown, path: string): unknown {
  if (error instanceof CodedError) return error;
  const code = sqliteCode(error);
  if (code === undefined) return toFolderError(error, path);
  const kind = code & 0xff;
  if (kind === primary.full || code === sharedMemorySize) return diskFull(path, error);
  const what = unusable[kind];
  if (what === undefined) return error;
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `The database ${path} ${what}: ${remedies[kind] ?? chooseAnotherFolder}.`,
    { cause: error, details: { path, sqliteCode: code } },
  );
}

function toFolderError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || !("syscall" in error)) return error;
  if (error.code === "ENOSPC" || error.code === "EDQUOT") return diskFull(path, error);
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `The folder of the database ${path} could not be made (${String(error.code)}): ${chooseAnotherFolder}.`,
    { cause: error, details: { path } },
  );
}

function diskFull(path: string, cause: unknown): CodedError {
  return new CodedError(
    "DISK_FULL",
    `The disk of the database ${path} is full: free some space, or set DATA_DIR to a folder on another disk.`,
    { cause, details: { path } },
  );
}

export function emptied(path: string): CodedError {
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `The database ${path} is there without a byte, so that what it held is lost: restore it from a backup, or delete the file to start with an empty one.`,
    { details: { path } },
  );
}

/** The lock did not become free within the bound: another process hangs in the middle of a transaction. */
export function stillBusy(path: string, waitedMs: number, cause: unknown): CodedError {
  return new CodedError(
    "NOT_READY",
    `The database ${path} has been locked by another process for ${Math.round(waitedMs)} ms: try again, or end the process that hangs.`,
    { cause, details: { path } },
  );
}
