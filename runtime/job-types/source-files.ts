import { readFile, stat } from "node:fs/promises";
import { createRequire, registerHooks } from "node:module";
import { dirname, resolve } from "node:path";

/* What a handler's file imports, as far as its author can change it: for who is to notice every change of it. */

interface SourceFile {
  readonly version: string;
  readonly imports: readonly string[];
}

/** Also in `import("…")` inside of `run`, which nothing has loaded yet. What only looks like an import does no harm. */
const importPattern = /(?:\bfrom|\bimport)\s*\(?\s*["']([./#][^"'\n]+)["']/g;

/** Source files, each read when it has changed since it was read. */
export class SourceFiles {
  readonly #known = new Map<string, SourceFile>();

  /** Another one whenever the file, or one that it imports, changes. Costs a `stat` for each. */
  async versionOf(entry: string): Promise<string> {
    const seen = new Map<string, string>();
    await this.#collect(entry, seen);
    return [...seen.values()].join("+");
  }

  async #collect(path: string, seen: Map<string, string>): Promise<void> {
    if (seen.has(path)) return;
    const found = await stat(path).catch(() => null);
    // A file that is missing may come.
    const version = found === null ? "none" : `${found.mtimeMs}-${found.size}-${found.ino}`;
    seen.set(path, version);
    if (found === null || !found.isFile()) return;
    const known = this.#known.get(path);
    const file = known?.version === version ? known : { version, imports: await importsOf(path) };
    this.#known.set(path, file);
    for (const imported of file.imports) await this.#collect(imported, seen);
  }
}

async function importsOf(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  const found = [...text.matchAll(importPattern)].flatMap(([, specifier = ""]) => resolved(specifier, path) ?? []);
  return [...new Set(found)];
}

/** Null for what is no file of the author's. */
function resolved(specifier: string, importer: string): string | null {
  if (specifier.startsWith(".") || specifier.startsWith("/")) return resolve(dirname(importer), specifier);
  try {
    const path = createRequire(importer).resolve(specifier);
    return path.includes("/node_modules/") ? null : path;
  } catch {
    return null;
  }
}

let isHooked = false;

/**
 * From now on a file that is loaded with a version behind its name (`paint.ts?version=2`) gets what it imports anew, too: a
 * module of the same address is not read again.
 */
export function loadImportsAnew(): void {
  if (isHooked) return;
  isHooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context);
      const version = /\?version=.*$/.exec(context.parentURL ?? "")?.[0];
      const isOwn = found.url.startsWith("file:") && !found.url.includes("/node_modules/") && !found.url.includes("?");
      return version !== undefined && isOwn ? { ...found, url: `${found.url}${version}` } : found;
    },
  });
}
