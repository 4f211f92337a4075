import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { isLeftBehind, recordOwner } from "#runtime/executor/parent/left-behind.ts";

/*
 * Where a backup or a restore puts together what it makes, inside the data folder, since only there files can be renamed and
 * have second names:
 *
 *   .backup-<uuid>/content/   what goes into the archive
 *   .backup-<uuid>/owner/     which process makes it
 *   .backup-<uuid>/part       the unfinished archive's path
 *
 * It goes with the end of its process, also after a second Ctrl-C. What a killed one has left is removed by the next.
 */
export type StagingKind = "backup" | "restore";

const prefixOf = (kind: StagingKind) => `.${kind}-`;
const ownerOf = (path: string) => join(path, "owner");
const partOf = (path: string) => join(path, "part");
const dayMs = 24 * 60 * 60 * 1000;
/** When it cannot be seen whether its process runs: one killed before it wrote down who it is, or one of another container. */
const abandonedAfterMs = { nobody: dayMs, unseen: 7 * dayMs };

export class Staging {
  readonly content: string;
  readonly #path: string;
  readonly #id: string;
  #part: string | null = null;
  readonly #removeNow = () => {
    rmSync(this.#path, { recursive: true, force: true });
    if (this.#part !== null) rmSync(this.#part, { force: true });
  };

  private constructor(dataFolder: string, kind: StagingKind) {
    this.#id = randomUUID();
    this.#path = join(dataFolder, `${prefixOf(kind)}${this.#id}`);
    this.content = join(this.#path, "content");
    process.once("exit", this.#removeNow);
  }

  static async create(dataFolder: string, kind: StagingKind): Promise<Staging> {
    const staging = new Staging(dataFolder, kind);
    try {
      await mkdir(staging.#path, { mode: 0o700 });
      await recordOwner(ownerOf(staging.#path), { warn: () => undefined });
      await mkdir(staging.content);
      return staging;
    } catch (error) {
      await staging.remove();
      throw error;
    }
  }

  /** Names the unfinished archive in this folder, which goes with the rest if it is still there. */
  async partIn(folder: string, name: string): Promise<string> {
    this.#part = join(folder, `.${name}${partSuffix(this.#id)}`);
    await writeFile(partOf(this.#path), this.#part);
    return this.#part;
  }

  async remove(): Promise<void> {
    if (this.#part !== null) await rm(this.#part, { force: true });
    await rm(this.#path, { recursive: true, force: true });
    process.off("exit", this.#removeNow);
  }
}

const partSuffix = (id: string) => `.${id}.part`;

/** Removes what killed ones have left. Returns the names of those that stay: their process runs, or cannot be seen from here. */
export async function removeLeftStagings(dataFolder: string, kind: StagingKind): Promise<string[]> {
  const stay: string[] = [];
  for (const name of (await readdir(dataFolder)).filter((each) => each.startsWith(prefixOf(kind)))) {
    const path = join(dataFolder, name);
    if (!(await isAbandoned(path))) stay.push(name);
    else {
      await removePart(path, name.slice(prefixOf(kind).length));
      // A killed restore may have left a tar that still writes.
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    }
  }
  return stay;
}

async function isAbandoned(path: string): Promise<boolean> {
  if (await isLeftBehind(ownerOf(path))) return true;
  const hasOwner = (await readdir(ownerOf(path)).catch(() => [])).length > 0;
  const age = Date.now() - ((await stat(path).catch(() => null))?.mtimeMs ?? Date.now());
  return age > (hasOwner ? abandonedAfterMs.unseen : abandonedAfterMs.nobody);
}

/** Only a file whose name has the staging's own number is taken for its archive. */
async function removePart(path: string, id: string): Promise<void> {
  const part = await readFile(partOf(path), "utf8").catch(() => null);
  if (part !== null && basename(part).endsWith(partSuffix(id))) await rm(part, { force: true });
}
