import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseSync, Visitor } from "oxc-parser";
import { z } from "zod";

/** What one file takes from another, or from a package. */
export interface Import {
  /** Path of the importing file from the project's folder, with `/`. */
  readonly from: string;
  /** Path of the imported file; `node:fs` or the package's name where it is none of ours. */
  readonly to: string;
  /** As it is written. */
  readonly specifier: string;
  /** `type`: erased before it runs. `lazy`: `import()`. `load`: loaded with the importing file. */
  readonly kind: "type" | "lazy" | "load";
}

const projectFolder = resolve(import.meta.dirname, "../..");

const { imports: aliases } = z
  .object({ imports: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(projectFolder, "package.json"), "utf8")));

const excluded = ["node_modules/**", "**/fixtures/**", "dist/**", "out/**", "data/**"];

/** Every TypeScript file of the project. */
export function sourceFiles(): string[] {
  return globSync("**/*.ts", { cwd: projectFolder, exclude: excluded }).map((file) => file.replaceAll("\\", "/"));
}

/** Every import that these files write, whatever its form. Throws for a file that is not TypeScript. */
export function readImports(files: readonly string[]): Import[] {
  return files.flatMap((file) => importsOf(file, readFileSync(join(projectFolder, file), "utf8")));
}

export function importsOf(file: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, kind: Import["kind"]) =>
    found.push({ from: file, to: resolveSpecifier(file, specifier), specifier, kind });
  const { program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file} is not TypeScript: ${errors[0]?.message}`);
  new Visitor({
    ImportDeclaration: (node) => void add(node.source.value, node.importKind === "type" ? "type" : "load"),
    ExportNamedDeclaration: (node) =>
      void (node.source && add(node.source.value, node.exportKind === "type" ? "type" : "load")),
    ExportAllDeclaration: (node) => void add(node.source.value, node.exportKind === "type" ? "type" : "load"),
    ImportExpression: ({ source: { type, ...literal } }) =>
      void (type === "Literal" && "value" in literal && add(String(literal.value), "lazy")),
    TSImportType: (node) => void add(node.source.value, "type"),
  }).visit(program);
  return found;
}

/** Whether an alias leads to this file. */
export function hasAlias(file: string): boolean {
  return Object.values(aliases).some((target) => file.startsWith(join(".", target.slice(0, -1))));
}

function resolveSpecifier(file: string, specifier: string): string {
  if (specifier.startsWith(".")) return join(dirname(file), specifier);
  for (const [alias, target] of Object.entries(aliases)) {
    const prefix = alias.slice(0, -1);
    if (specifier.startsWith(prefix))
      return relative(".", join(".", target.slice(0, -1), specifier.slice(prefix.length)));
  }
  return specifier.startsWith("node:") ? specifier : packageName(specifier);
}

/** `hono/html` is of the package `hono`, `@scope/name/part` of `@scope/name`. */
function packageName(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** All that is loaded with a file, itself included; with `lazy`, also what is loaded later on. */
export function loadedWith(
  entry: string,
  imports: readonly Import[],
  options: { readonly lazy: boolean },
): Set<string> {
  const followed = imports.filter(({ kind }) => kind === "load" || (options.lazy && kind === "lazy"));
  const byFile = Map.groupBy(followed, ({ from }) => from);
  const loaded = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (loaded.has(file)) continue;
    loaded.add(file);
    open.push(...(byFile.get(file) ?? []).map(({ to }) => to));
  }
  return loaded;
}
