import { copyFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { databaseFile } from "#runtime/lib/database/database.ts";
import { snapshotDatabase } from "#runtime/lib/database/snapshot-database.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import { checksums, checksumsName, filesBelow } from "./checksums.ts";
import { linkTree } from "./link-tree.ts";
import { removeLeftStagings, Staging } from "./staging.ts";
import { TarWriter, type WrittenFile } from "./tar-writer.ts";

/*
 * What a backup is: a tar of the database as it was at one moment, and of every file that it may name. Containers go on
 * meanwhile: files get their second names before the moment and once more after it, since what is delivered in between goes
 * from `work/`, and what is finished comes. So nothing that the database names is missing, whatever happens meanwhile.
 */
export const manifestName = "backup.json";

/** Of an archive. */
export const manifest = z.object({
  format: z.literal(1),
  /** In which it was made: paths of work that is still to be delivered begin with it. */
  dataFolder: z.string(),
  version: z.string(),
  createdAt: z.string(),
});

/** What cannot be made or fetched again, and what of it is under way: a job that runs will run again. */
const keptFolders = [
  { name: "files", underWay: /^\.unfinished$/ },
  { name: "work", underWay: /^[^/]+\/[^/]+\/(?:scratch|inputs)$/ },
] as const;

export interface MadeBackup {
  readonly file: string;
  readonly sizeBytes: number;
}

/**
 * Writes the archive, beside running containers or without one, of this version or an earlier one. It has its name when it is
 * whole and on the disk; its owner alone may read it, as it holds the signing key.
 * @throws CodedError DATA_FOLDER_UNUSABLE when there is no data folder; INVALID_REQUEST when the file exists or cannot be made;
 *   DISK_FULL; the signal's reason, and then nothing is left
 */
export async function backUp(config: Config, file: string, signal: AbortSignal): Promise<MadeBackup> {
  const { dataFolder } = config;
  if (((await sizeOf(databaseFile(dataFolder))) ?? 0) === 0)
    throw new CodedError(
      "DATA_FOLDER_UNUSABLE",
      `There is no data folder ${dataFolder} with a database: set DATA_DIR.`,
    );
  const target = resolve(file);
  if ((await sizeOf(target)) !== null)
    throw new CodedError("INVALID_REQUEST", `${target} exists: give another name, or remove it.`);
  if ((await sizeOf(dirname(target))) === null)
    throw new CodedError("INVALID_REQUEST", `There is no folder ${dirname(target)}: make it, or name another place.`);
  await removeLeftStagings(dataFolder, "backup");
  const staging = await Staging.create(dataFolder, "backup");
  try {
    const part = await staging.partIn(dirname(target), basename(target));
    await stage(config, staging.content, signal);
    await writeArchive(part, staging.content, signal);
    await rename(part, target);
    await syncFolder(dirname(target));
    return { file: target, sizeBytes: (await stat(target)).size };
  } finally {
    await staging.remove();
  }
}

/** The manifest first: it is what a reader looks at. The checksums, which are complete then, last. */
async function writeArchive(part: string, content: string, signal: AbortSignal): Promise<void> {
  const rest = (await filesBelow(content)).filter((path) => path !== manifestName);
  const archive = await TarWriter.create(part);
  try {
    const files: WrittenFile[] = [];
    for (const path of [manifestName, ...rest]) {
      signal.throwIfAborted();
      files.push(await archive.addFile(path, join(content, path), signal));
    }
    await archive.addText(checksumsName, `${JSON.stringify(checksums.parse({ files }))}\n`);
    await archive.finish();
  } finally {
    await archive.close();
  }
  signal.throwIfAborted();
}

async function stage(config: Config, staging: string, signal: AbortSignal): Promise<void> {
  const { dataFolder } = config;
  const linkAll = async () => {
    signal.throwIfAborted();
    for (const { name, underWay } of keptFolders) await linkTree(join(dataFolder, name), join(staging, name), underWay);
  };
  await linkAll();
  snapshotDatabase(databaseFile(dataFolder), databaseFile(staging));
  // A signal that came while the database was copied is seen after it.
  await yieldToEvents();
  await linkAll();
  await copyFile(join(dataFolder, "signing.key"), join(staging, "signing.key")).catch(unlessMissing);
  const facts = { format: 1, dataFolder, version: workerVersion, createdAt: new Date().toISOString() } as const;
  await writeFile(join(staging, manifestName), `${JSON.stringify(manifest.parse(facts))}\n`);
}

/** Without a key, the next start makes one: a person may have deleted one that was damaged. */
function unlessMissing(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
