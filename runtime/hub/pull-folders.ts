import { access, constants, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import { storageError } from "./download-file.ts";
import { type PulledRecord, readRecord } from "./pulled-record.ts";
import type { WantedModel } from "./repository.ts";

/*
 * Where a pull works, inside the models folder, so that a rename puts the finished model in its place:
 *
 *   <models>/.pulling/<name>/lock       who fetches it
 *   <models>/.pulling/<name>/<commit>/  what is here of it
 *   <models>/<name>/                    the model, whole, with .pulled.json; never anything else
 */
export interface PullFolders {
  readonly model: string;
  readonly lock: string;
  /** Of a commit. */
  download(commit: string): string;
}

export function pullFolders(modelsFolder: string, name: string): PullFolders {
  const own = pullingFolder(modelsFolder, name);
  return { model: join(modelsFolder, name), lock: join(own, "lock"), download: (commit) => join(own, commit) };
}

function pullingFolder(modelsFolder: string, name: string): string {
  return join(modelsFolder, ".pulling", name);
}

/** @throws CodedError DISK_FULL, MODEL_NOT_FOUND (the models folder cannot be written to) */
export async function makeModelsFolder(modelsFolder: string): Promise<void> {
  try {
    await makeFolder(join(modelsFolder, ".pulling"));
    await access(join(modelsFolder, ".pulling"), constants.W_OK);
  } catch (cause) {
    const error = storageError(cause, modelsFolder);
    if (error instanceof CodedError) throw error;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    throw new CodedError(
      "MODEL_NOT_FOUND",
      `The models folder ${modelsFolder} cannot be written to (${code}): make it writable, or set MODELS_DIR to another one.`,
      { cause },
    );
  }
}

/**
 * What is under the name already: null for nothing.
 * @throws CodedError INVALID_REQUEST when that is something of one's own, or of another repository
 */
export async function pulledBefore(folders: PullFolders, { name, repo }: WantedModel): Promise<PulledRecord | null> {
  const exists = await stat(folders.model).then(
    () => true,
    () => false,
  );
  if (!exists) return null;
  const record = await readRecord(folders.model);
  if (record?.repo === repo) return record;
  const what = record === null ? "was not fetched by this command" : `is of ${record.repo}`;
  throw new CodedError(
    "INVALID_REQUEST",
    `There is a model "${name}" already, and it ${what}: choose another name with --as, or remove it first (ourvidz models remove ${name}).`,
  );
}

/** Puts a finished download in the model's place, instead of what may be there. */
export async function putInPlace(folders: PullFolders, modelsFolder: string, commit: string): Promise<void> {
  const before = `${folders.download(commit)}.before`;
  await rename(folders.model, before).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  });
  await rename(folders.download(commit), folders.model);
  await syncFolder(modelsFolder);
}

/** Removes downloads of other commits; all, without one. The lock stays. */
export async function removeDownloads(modelsFolder: string, name: string, kept?: string): Promise<void> {
  const own = pullingFolder(modelsFolder, name);
  for (const entry of await readdir(own).catch(() => []))
    if (entry !== "lock" && entry !== kept) await rm(join(own, entry), { recursive: true, force: true });
}

/** Removes what a broken-off pull of the same commit has left that this one does not want, another precision's files say. */
export async function removeOtherFiles(folder: string, wanted: ReadonlySet<string>): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !wanted.has(relative(folder, path))) await rm(path, { force: true });
  }
}

/** The folders themselves, where nothing is left in them. */
export async function removeEmptyFolders(modelsFolder: string, name: string): Promise<void> {
  await rmdir(pullingFolder(modelsFolder, name)).catch(() => undefined);
  await rmdir(join(modelsFolder, ".pulling")).catch(() => undefined);
}
