import { randomUUID } from "node:crypto";
import { copyFile, mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { databaseFile } from "#runtime/lib/database/database.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import { linkTree } from "./link-tree.ts";
import { tar } from "./tar.ts";

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

const stagingPrefix = ".backup-";
const abandonedAfterMs = 24 * 60 * 60 * 1000;

export interface MadeBackup {
  readonly file: string;
  readonly sizeBytes: number;
}

/**
 * Writes the archive, beside running containers or without one. It has its name when it is whole and on the disk.
 * @throws CodedError DATA_FOLDER_UNUSABLE when there is no data folder; INVALID_REQUEST when the file exists; DISK_FULL
 */
export async function backUp(config: Config, file: string): Promise<MadeBackup> {
  const { dataFolder } = config;
  if ((await sizeOf(databaseFile(dataFolder))) === null)
    throw new CodedError(
      "DATA_FOLDER_UNUSABLE",
      `There is no data folder ${dataFolder} with a database: set DATA_DIR.`,
    );
  const target = resolve(file);
  if ((await sizeOf(target)) !== null)
    throw new CodedError("INVALID_REQUEST", `${target} exists: give another name, or remove it.`);
  await removeAbandoned(dataFolder);
  const staging = join(dataFolder, `${stagingPrefix}${randomUUID()}`);
  const part = join(dirname(target), `.${basename(target)}.part`);
  try {
    await mkdir(staging);
    await stage(config, staging);
    // The manifest first: it is what a reader looks at.
    const contents = await readdir(staging);
    const rest = contents.filter((name) => name !== manifestName);
    await tar(["-cf", part, "-C", staging, manifestName, ...rest]);
    await syncWhole(part);
    await rename(part, target);
    await syncFolder(dirname(target));
    return { file: target, sizeBytes: (await stat(target)).size };
  } finally {
    await rm(part, { force: true });
    await rm(staging, { recursive: true, force: true });
  }
}

async function stage(config: Config, staging: string): Promise<void> {
  const { dataFolder } = config;
  const linkAll = async () => {
    for (const { name, underWay } of keptFolders) await linkTree(join(dataFolder, name), join(staging, name), underWay);
  };
  await linkAll();
  const embedded = await openEmbedded(config);
  try {
    embedded.database.snapshot(databaseFile(staging));
  } finally {
    await embedded.close();
  }
  await linkAll();
  await copyFile(join(dataFolder, "signing.key"), join(staging, "signing.key"));
  const facts = { format: 1, dataFolder, version: workerVersion, createdAt: new Date().toISOString() } as const;
  await writeFile(join(staging, manifestName), `${JSON.stringify(manifest.parse(facts))}\n`);
}

/** What a backup left that was killed holds room. */
async function removeAbandoned(dataFolder: string): Promise<void> {
  const names = (await readdir(dataFolder)).filter((name) => name.startsWith(stagingPrefix));
  for (const path of names.map((name) => join(dataFolder, name))) {
    const age = Date.now() - ((await stat(path).catch(() => null))?.mtimeMs ?? Date.now());
    if (age > abandonedAfterMs) await rm(path, { recursive: true, force: true });
  }
}

async function syncWhole(path: string): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
