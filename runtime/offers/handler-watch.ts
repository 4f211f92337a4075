import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { handlerFiles } from "#runtime/job-types/registry.ts";
import { SourceFiles } from "#runtime/job-types/source-files.ts";

/** Which files of the handlers folder have come or changed since the last look; it costs a directory's entries and `stat` calls. */
export class HandlerWatch {
  readonly #folder: string;
  readonly #sources: SourceFiles | null;
  #versions: ReadonlyMap<string, string> | null = null;

  /** @param withImports a change of a file that a handler imports counts as its own */
  constructor(folder: string, { withImports = false }: { readonly withImports?: boolean } = {}) {
    this.#folder = folder;
    this.#sources = withImports ? new SourceFiles() : null;
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
      const path = join(this.#folder, file);
      const found = await stat(path).catch(() => null);
      if (found === null) continue;
      const imports = (await this.#sources?.versionOf(path)) ?? "";
      versions.set(file, `${found.mtimeMs}-${found.size}-${found.ino}${imports && `-${digest(imports)}`}`);
    }
    const before = this.#versions;
    this.#versions = versions;
    if (before === null) return new Map();
    return new Map([...versions].filter(([file, version]) => before.get(file) !== version));
  }
}

function digest(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
