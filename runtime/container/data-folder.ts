import { createHash, randomBytes, randomUUID } from "node:crypto";
import { access, constants, link, mkdir, readdir, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";

/*
 * What lies where in the data folder:
 *
 *   ourvidz.db     jobs, outbox, callbacks (embedded)
 *   work/          files of running and undelivered jobs, <job>/<attempt>-<lease>/
 *   files/         the local asset store, <bucket>/<user>/<job>/, uploaded files in inputs/<user>/inputs/; what is being stored is in .unfinished/
 *   inputs/        reference files of jobs, by content, kept for other jobs; in partial/ what is on its way
 *   containers/    which containers run on it, for the next one to kill what those that are gone have left running
 *   logs/          what attempts have printed, <job>/<attempt>.json
 *   runpod/        failures of jobs that RunPod has not heard of yet; emulator-<port>.db is what an emulator's containers have, in outputs/ what they have made
 *   loras/         LoRA files of jobs, by content, kept for other jobs
 *   signing.key    signs the addresses of local files; made at the first start
 */
export interface DataFolder {
  readonly path: string;
  readonly work: string;
  readonly files: string;
  readonly inputs: string;
  readonly loras: string;
  readonly signingKey: Uint8Array;
}

/** @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL with what to do */
export async function openDataFolder(path: string): Promise<DataFolder> {
  const at = (name: string) => join(path, name);
  const folder = { path, work: at("work"), files: at("files"), inputs: at("inputs"), loras: at("loras") };
  try {
    // Prompts, pictures and the database are nobody else's on the machine.
    await makeFolder(path, 0o700);
    await makeFolder(folder.work);
    await makeFolder(folder.files);
    await access(path, constants.W_OK);
    return { ...folder, signingKey: await signingKey(join(path, "signing.key")) };
  } catch (cause) {
    throw dataFolderError(path, cause);
  }
}

/**
 * Makes the folder and those above it. Not `mkdir` with `recursive`: where the system answers ENOENT although the folder
 * above exists, as in /proc, that tries for ever.
 * @param mode of the folder itself when it is made; those above it get the usual one
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  if ((await makeOne(path, mode)) === "made") return;
  if (dirname(path) !== path) await makeFolder(dirname(path));
  if ((await makeOne(path, mode)) === "parent is missing") {
    throw Object.assign(new Error(`${path} cannot be made`), { code: "ENOENT" });
  }
}

/** What exists already, a file too, counts as made: using it says what is wrong with it. */
async function makeOne(path: string, mode?: number): Promise<"made" | "parent is missing"> {
  try {
    await mkdir(path, { mode });
    return "made";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return "made";
    if (code === "ENOENT") return "parent is missing";
    throw error;
  }
}

function dataFolderError(path: string, cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new CodedError(
      "DISK_FULL",
      `The disk of the data folder ${path} is full: free some space, or set DATA_DIR to a folder on another disk.`,
      { cause },
    );
  }
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `The data folder ${path} cannot be used (${code}): make it writable, or set DATA_DIR to another folder.`,
    { cause },
  );
}

const keyBytes = 32;

/** Reads the key, or makes it; of two processes that start at once, one wins and both use its key. */
async function signingKey(path: string): Promise<Uint8Array> {
  const existing = await readFile(path).catch(absent);
  if (existing !== null) return checkedKey(path, existing);
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, randomBytes(keyBytes), { mode: 0o600, flush: true });
  try {
    await link(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  return checkedKey(path, await readFile(path));
}

function absent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}

/** A damaged key is not replaced unasked: it may be a file of somebody else's. */
function checkedKey(path: string, key: Uint8Array): Uint8Array {
  if (key.length === keyBytes) return key;
  throw new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `${path} is damaged (${key.length} bytes instead of ${keyBytes}): delete it, and the next start makes a new one. Addresses of files that were given out in the last hour stop working.`,
  );
}

/** Where handlers keep what they can compute again. */
export function cacheFolder(dataFolder: string): string {
  return join(dataFolder, "cache");
}

/** Where what attempts have printed is kept. */
export function logsFolder(dataFolder: string): string {
  return join(dataFolder, "logs");
}

/** Where containers write down that they run. */
export function containersFolder(dataFolder: string): string {
  return join(dataFolder, "containers");
}

/**
 * Where the files of one attempt lie. No other one has it, also where a number comes again: a job that is redriven, or whose id is
 * that of a job before it, may run while what is left of the other one is being removed.
 * @param work of the data folder
 */
export function attemptFolder(
  work: string,
  { jobId, attempt, token }: { readonly jobId: string; readonly attempt: number; readonly token: string },
): string {
  const lease = createHash("sha256").update(token).digest("hex").slice(0, 12);
  return join(work, jobId, `${attempt}-${lease}`);
}

/** Where an attempt's reference files lie, beside what it makes. */
export function inputsFolder(workFolder: string): string {
  return join(workFolder, "inputs");
}

/** Where an attempt's files under way lie. */
export function scratchFolder(workFolder: string): string {
  return join(workFolder, "scratch");
}

/** Removes an attempt's folder, and its job's when no other attempt has one. */
export async function removeWork(attemptFolder: string): Promise<void> {
  await rm(attemptFolder, { recursive: true, force: true });
  await rmdir(dirname(attemptFolder)).catch(() => undefined);
}

const abandonedAfterMs = 24 * 60 * 60 * 1000;

/**
 * Removes the files of attempts that died before they had a result. Only old ones: another process on the same folder
 * may be at work.
 */
export async function removeAbandonedWork(
  folder: DataFolder,
  needed: ReadonlySet<string>,
  nowMs: number,
): Promise<void> {
  for (const job of await readdir(folder.work)) {
    const jobFolder = join(folder.work, job);
    for (const attempt of await readdir(jobFolder).catch(() => [])) {
      const path = join(jobFolder, attempt);
      const age = nowMs - (await stat(path).catch(() => ({ mtimeMs: nowMs }))).mtimeMs;
      if (!needed.has(path) && age > abandonedAfterMs) await rm(path, { recursive: true, force: true });
    }
    // Only an empty folder goes; a job that is just starting keeps its own.
    await rmdir(jobFolder).catch(() => undefined);
  }
}
