import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { moveOutbox } from "#runtime/delivery/move-outbox.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import { manifest, manifestName } from "./backup.ts";
import { tar } from "./tar.ts";

export interface RestoredBackup {
  readonly dataFolder: string;
  readonly createdAt: string;
  readonly version: string;
}

/** What a fresh disk has by itself. */
const ignored = new Set(["lost+found"]);
const databaseName = "ourvidz.db";

/**
 * Makes a data folder of an archive, or fills an empty one. Nothing of it is in place before all of it is unpacked and its
 * database can be opened; the database, without which a container takes the folder for a new one, comes last.
 * @throws CodedError INVALID_REQUEST for a folder that is not empty, or an archive that is no backup; DATA_FOLDER_UNUSABLE, also
 *   for one of a newer version; DISK_FULL
 */
export async function restore(config: Config, file: string): Promise<RestoredBackup> {
  const { dataFolder } = config;
  await makeFolder(dataFolder);
  const found = (await readdir(dataFolder)).filter((name) => !ignored.has(name));
  if (found.length > 0)
    throw new CodedError(
      "INVALID_REQUEST",
      `${dataFolder} is not empty (${found.slice(0, 3).join(", ")}): name another folder with --data, or empty it.`,
    );
  const staging = join(dataFolder, `.restore-${randomUUID()}`);
  try {
    await mkdir(staging);
    await tar(["-xf", resolve(file), "-C", staging, "--no-same-owner"]);
    const facts = await readManifest(staging, file);
    await adapt({ ...config, dataFolder: staging }, facts.dataFolder, dataFolder);
    await moveIntoPlace(staging, dataFolder);
    return { dataFolder, createdAt: facts.createdAt, version: facts.version };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function readManifest(staging: string, file: string) {
  const path = join(staging, manifestName);
  try {
    const facts = manifest.parse(JSON.parse(await readFile(path, "utf8")));
    await rm(path);
    return facts;
  } catch (cause) {
    throw new CodedError("INVALID_REQUEST", `${file} is no backup of this project: it has no ${manifestName}.`, {
      cause,
    });
  }
}

/** Opens the database, which brings it up to date, and has work that is still to be delivered found in the new place. */
async function adapt(config: Config, from: string, to: string): Promise<void> {
  const embedded = await openEmbedded(config);
  try {
    await moveOutbox(embedded.database, from, to);
  } finally {
    await embedded.close();
  }
}

async function moveIntoPlace(staging: string, dataFolder: string): Promise<void> {
  const names = await readdir(staging);
  const last = names.filter((name) => name.startsWith(databaseName));
  const first = names.filter((name) => !last.includes(name));
  for (const name of [...first, ...last.toSorted().toReversed()])
    await rename(join(staging, name), join(dataFolder, name));
  await rmdir(staging);
  await syncFolder(dataFolder);
}
