import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import type { Logger } from "#runtime/observe/log.ts";

/*
 * Outputs that are too large for a queue, a file each in the data folder, as long as a result can be read: they outlive the process,
 * and every emulator on the folder reads them.
 */
export interface KeptOutputsOptions {
  readonly folder: string;
  readonly log: Logger;
  /** How long they are kept. */
  readonly keptMs: number;
  /** Of all together: the oldest go first. */
  readonly maxBytes?: number;
}

const defaultMaxBytes = 4 * 1024 ** 3;
const pruneEveryMs = 60_000;
const nameForm = /^[0-9a-f-]{36}$/;

export class KeptOutputs {
  readonly #options: KeptOutputsOptions;
  readonly #timer: NodeJS.Timeout;

  constructor(options: KeptOutputsOptions) {
    this.#options = options;
    void this.prune();
    this.#timer = setInterval(() => void this.prune(), pruneEveryMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /**
   * @param json the output
   * @returns by which name it is read; null when it could not be written
   */
  async keep(json: string): Promise<string | null> {
    const { folder, log } = this.#options;
    const name = randomUUID();
    const part = join(folder, `${name}.part`);
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(part, json, { mode: 0o600, flush: true });
      await rename(part, join(folder, name));
      await syncFolder(folder);
      return name;
    } catch (error) {
      log.warn({ error }, "an output could not be kept in the data folder: it is gone when this process ends");
      await rm(part, { force: true }).catch(() => undefined);
      return null;
    }
  }

  /** Undefined when it is not there any more, or not whole. */
  async read(name: unknown): Promise<unknown> {
    if (typeof name !== "string" || !nameForm.test(name)) return undefined;
    try {
      return JSON.parse(await readFile(join(this.#options.folder, name), "utf8"));
    } catch {
      return undefined;
    }
  }

  /** Removes what nobody can read any more, and the oldest of what is too much. */
  async prune(): Promise<void> {
    const { folder, keptMs, maxBytes = defaultMaxBytes } = this.#options;
    const names = await readdir(folder).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => {
        const facts = await stat(join(folder, name)).catch(() => null);
        return { name, bytes: facts?.size ?? 0, atMs: facts?.mtimeMs ?? 0 };
      }),
    );
    let bytes = 0;
    for (const file of files.toSorted((one, other) => other.atMs - one.atMs)) {
      bytes += file.bytes;
      const isOver = Date.now() - file.atMs > keptMs || bytes > maxBytes;
      if (isOver) await rm(join(folder, file.name), { force: true }).catch(() => undefined);
    }
  }
}
