import { lchown, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { setImmediate as yieldToEvents } from "node:timers/promises";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { moveOutbox } from "#runtime/delivery/move-outbox.ts";
import { databaseProblem } from "#runtime/lib/database/check-database.ts";
import { databaseFile } from "#runtime/lib/database/database.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import { manifest, manifestName } from "./backup.ts";
import { checkUnpacked } from "./checksums.ts";
import { removeLeftStagings, Staging } from "./staging.ts";
import { unpack } from "./tar.ts";

export interface RestoredBackup {
  readonly dataFolder: string;
  readonly createdAt: string;
  readonly version: string;
}

/** What a fresh disk has by itself. */
const ignored = new Set(["lost+found"]);
const databaseName = "ourvidz.db";

/**
 * Makes a data folder of an archive, or fills an empty one. Nothing of it is in place before all of it is unpacked and compared
 * with its checksums, and its database is sound and can be opened; the database, without which a container takes the folder for a
 * new one, comes last.
 * @throws CodedError INVALID_REQUEST for a folder that is not empty, or an archive that is missing, no backup or damaged;
 *   DATA_FOLDER_UNUSABLE, also for one of a newer version; DISK_FULL; the signal's reason, and then nothing is left
 */
export async function restore(config: Config, file: string, signal: AbortSignal): Promise<RestoredBackup> {
  const { dataFolder } = config;
  const archive = resolve(file);
  if (!(await isThere(archive)))
    throw new CodedError("INVALID_REQUEST", `There is no file ${archive}: name an archive that is.`);
  const isNew = !(await isThere(dataFolder));
  await makeFolder(dataFolder, 0o700);
  let isFilled = false;
  try {
    await requireEmpty(dataFolder);
    const restored = await fill(config, archive, signal);
    isFilled = true;
    return restored;
  } finally {
    if (isNew && !isFilled) await rmdir(dataFolder).catch(() => undefined);
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function requireEmpty(dataFolder: string): Promise<void> {
  const [other] = await removeLeftStagings(dataFolder, "restore");
  if (other !== undefined)
    throw new CodedError(
      "INVALID_REQUEST",
      `Another restore into ${dataFolder} runs, or cannot be seen from here: wait for its end; if there is none, delete ${join(dataFolder, other)}.`,
    );
  const found = (await readdir(dataFolder)).filter((name) => !ignored.has(name));
  if (found.length > 0)
    throw new CodedError(
      "INVALID_REQUEST",
      `${dataFolder} is not empty (${found.slice(0, 3).join(", ")}): name another folder with --data, or empty it.`,
    );
}

async function fill(config: Config, archive: string, signal: AbortSignal): Promise<RestoredBackup> {
  const { dataFolder } = config;
  const staging = await Staging.create(dataFolder, "restore");
  try {
    const { content } = staging;
    await unpack(archive, content, signal);
    const facts = await readManifest(content, archive);
    await checkUnpacked(content, archive, signal);
    await rm(join(content, manifestName));
    const problem = databaseProblem(databaseFile(content));
    if (problem !== null)
      throw new CodedError(
        "INVALID_REQUEST",
        `The database in ${archive} is damaged (${problem}). Nothing was restored; use another backup.`,
      );
    await adapt({ ...config, dataFolder: content }, facts.dataFolder, dataFolder);
    // A signal that came while the database was read is seen here; from here on it is too late for one.
    await yieldToEvents();
    signal.throwIfAborted();
    await giveToOwner(content, dataFolder);
    await moveIntoPlace(content, dataFolder);
    return { dataFolder, createdAt: facts.createdAt, version: facts.version };
  } finally {
    await staging.remove();
  }
}

async function readManifest(content: string, archive: string) {
  try {
    return manifest.parse(JSON.parse(await readFile(join(content, manifestName), "utf8")));
  } catch (cause) {
    throw new CodedError(
      "INVALID_REQUEST",
      `${archive} is no backup of this project, or damaged: its ${manifestName} is missing or cannot be read.`,
      { cause },
    );
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

/** What root restores belongs to whom the folder belongs to: the service's user has to read and to write it. */
async function giveToOwner(content: string, dataFolder: string): Promise<void> {
  const { uid, gid } = await stat(dataFolder);
  if (process.getuid?.() !== 0 || uid === 0) return;
  for (const name of await readdir(content, { recursive: true })) await lchown(join(content, name), uid, gid);
}

async function moveIntoPlace(content: string, dataFolder: string): Promise<void> {
  const names = await readdir(content);
  const last = names.filter((name) => name.startsWith(databaseName));
  const first = names.filter((name) => !last.includes(name));
  for (const name of [...first, ...last.toSorted().toReversed()])
    await rename(join(content, name), join(dataFolder, name));
  await syncFolder(dataFolder);
}
