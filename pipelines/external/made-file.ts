import { randomUUID } from "node:crypto";
import { lstat, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { engineFailed } from "./errors.ts";

/** Coarser than the clocks of file systems that are in use. */
const clockMs = 2000;

/** A folder of one run's own, in which nothing is but what the command puts there. */
export class RunFolder {
  readonly path: string;
  readonly #startedAtMs: number;

  private constructor(path: string, startedAtMs: number) {
    this.path = path;
    this.#startedAtMs = startedAtMs;
  }

  /** @param parent is removed by who gives it */
  static async make(parent: string): Promise<RunFolder> {
    const path = join(parent, `run-${randomUUID()}`);
    await mkdir(path);
    // By the clock of the disk, which need not be this machine's.
    return new RunFolder(path, (await stat(path)).mtimeMs);
  }

  /**
   * Whether the command has made this file in this run: what it fetched from elsewhere, or linked, is not its result.
   * @throws PipelineError ENGINE_FAILED
   */
  async checkMade(file: string, lastLines: readonly string[]): Promise<void> {
    const entry = await lstat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return null;
    });
    if (entry === null) throw engineFailed("The command ended well, but there is no file in --save_file", lastLines);
    if (!entry.isFile()) throw engineFailed("The command left something in --save_file that is no regular file");
    if (entry.size === 0) throw engineFailed("The command left an empty file in --save_file", lastLines);
    if (entry.nlink > 1 || entry.mtimeMs < this.#startedAtMs - clockMs)
      throw engineFailed("The file in --save_file is not of this run, but an older one or a link to it");
  }
}
