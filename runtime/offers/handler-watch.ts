import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { handlerFiles } from "#runtime/job-types/registry.ts";

/** Which files of the handlers folder have come or changed since the last look; it costs a directory's entries and `stat` calls. */
export class HandlerWatch {
  readonly #folder: string;
  #versions: ReadonlyMap<string, string> | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Of a job type's file at the last look; undefined when there is none. */
  versionOf(type: string): string | undefined {
    return this.#versions?.get(`${type}.ts`);
  }

  /** Files with their new versions; none at the first look, before which they were loaded. */
  async look(): Promise<ReadonlyMap<string, string>> {
    const files = await handlerFiles(this.#folder).catch((error: unknown) => {
      // The folder is gone: what was loaded from it runs on.
      if (error instanceof CodedError) return null;
      throw error;
    });
    if (files === null) return new Map();
    const versions = new Map<string, string>();
    for (const file of files) {
      const found = await stat(join(this.#folder, file)).catch(() => null);
      if (found !== null) versions.set(file, `${found.mtimeMs}-${found.size}-${found.ino}`);
    }
    const before = this.#versions;
    this.#versions = versions;
    if (before === null) return new Map();
    return new Map([...versions].filter(([file, version]) => before.get(file) !== version));
  }
}
