import type { Stats } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import type { ErrorReport } from "#contract/errors.ts";
import { databaseFile } from "#runtime/lib/database/database.ts";
import type { Logger } from "#runtime/observe/log.ts";

/*
 * Looks from time to time whether the data folder and its database are still those that were opened, and whether there
 * is room. An open file outlives its name: without this, a container whose folder was deleted goes on taking jobs into a
 * database that nobody will ever open again.
 */
export interface FolderWatchOptions {
  readonly path: string;
  readonly log: Logger;
  onChange(): void;
  readonly everyMs?: number;
}

export interface FolderProblem extends ErrorReport {
  readonly code: "DATA_FOLDER_UNUSABLE" | "DISK_FULL";
  readonly sinceMs: number;
}

const defaultEveryMs = 5000;
/** Less room than this holds no result. */
const minFreeBytes = 8 * 1024 * 1024;

export class FolderWatch {
  readonly #options: FolderWatchOptions;
  #opened: readonly (string | null)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #problem: FolderProblem | null = null;

  constructor(options: FolderWatchOptions) {
    this.#options = options;
  }

  get problem(): FolderProblem | null {
    return this.#problem;
  }

  /** Nothing that a job makes here would be found again. */
  get isGone(): boolean {
    return this.#problem?.code === "DATA_FOLDER_UNUSABLE";
  }

  async start(): Promise<void> {
    this.#opened = await this.#identities();
    await this.look();
    this.#timer = setInterval(() => void this.look(), this.#options.everyMs ?? defaultEveryMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Never rejects. */
  async look(): Promise<void> {
    const found = await this.#find();
    if (found?.code === this.#problem?.code) return;
    this.#problem = found === null ? null : { ...found, sinceMs: Date.now() };
    if (found === null) this.#options.log.info({}, "the data folder can be used again");
    else this.#options.log.error({ error: found }, "the data folder cannot be used");
    this.#options.onChange();
  }

  async #find(): Promise<Omit<FolderProblem, "sinceMs"> | null> {
    const { path } = this.#options;
    const now = await this.#identities();
    if (now.some((identity, place) => identity !== this.#opened[place])) {
      const message = `The data folder ${path}, or its database, is not the one that this container opened: put it back, or restart the container.`;
      return { code: "DATA_FOLDER_UNUSABLE", message };
    }
    const { bavail, bsize } = await statfs(path).catch(() => ({ bavail: Infinity, bsize: 1 }));
    if (bavail * bsize >= minFreeBytes) return null;
    const message = `The disk of the data folder ${path} is full: free some space, or set DATA_DIR to a folder on another disk.`;
    return { code: "DISK_FULL", message };
  }

  #identities(): Promise<(string | null)[]> {
    const { path } = this.#options;
    return Promise.all([path, databaseFile(path)].map((each) => stat(each).then(identityOf, () => null)));
  }
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}/${ino}`;
}
