import { rmSync } from "node:fs";
import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CodedError, toErrorReport } from "#contract/errors.ts";
import { containersFolder, makeFolder } from "#runtime/container/data-folder.ts";
import { isLeftBehind, killLeftBehind } from "#runtime/executor/parent/left-behind.ts";

const namePrefix = "ourvidz-run-";

/** Removes the folders of runs that were killed (SIGKILL); what was kept bears no mark of a run. */
export async function removeLeftRuns(parent: string): Promise<void> {
  for (const name of (await readdir(parent)).filter((each) => each.startsWith(namePrefix))) {
    const folder = join(parent, name);
    const { uid } = await lstat(folder);
    if (uid !== process.getuid?.() || !(await isLeftBehind(containersFolder(folder)))) continue;
    await killLeftBehind(containersFolder(folder), { warn: () => undefined });
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The temporary data folder of one run. It is removed at the end, also when the process is ended by a second Ctrl-C,
 * unless it holds finished files that could not be brought where they belong.
 */
export class ScratchFolder {
  readonly path: string;
  #kept = false;
  readonly #removeNow = () => rmSync(this.path, { recursive: true, force: true, maxRetries: 2 });

  private constructor(path: string) {
    this.path = path;
    process.once("exit", this.#removeNow);
  }

  /**
   * @param parent made when it is missing; the system's temporary folder when it is not given
   * @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL
   */
  static async create(parent: string = tmpdir()): Promise<ScratchFolder> {
    try {
      await makeFolder(parent);
      await removeLeftRuns(parent).catch(() => undefined);
      return new ScratchFolder(await mkdtemp(join(parent, namePrefix)));
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
      throw new CodedError(
        code === "ENOSPC" ? "DISK_FULL" : "DATA_FOLDER_UNUSABLE",
        `No temporary folder can be made in ${parent} (${code}): name another place with --data or TMPDIR.`,
        { cause },
      );
    }
  }

  /** From now on the folder stays. */
  keep(): void {
    this.#kept = true;
    process.off("exit", this.#removeNow);
  }

  /** The error, with where the files are. */
  explain(error: unknown): CodedError {
    const { code, message } = toErrorReport(error);
    return new CodedError(code, `${message} The finished files are kept in ${this.path}.`, { cause: error });
  }

  async remove(): Promise<void> {
    if (this.#kept) return;
    await rm(this.path, { recursive: true, force: true, maxRetries: 2 });
    process.off("exit", this.#removeNow);
  }
}
