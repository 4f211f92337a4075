import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** A place in a source file; lines and columns count from 1. */
export interface CodePlace {
  readonly file: string;
  readonly line: number;
  /** Null where only the line is known. */
  readonly column: number | null;
}

const projectFolder = fileURLToPath(new URL("../../", import.meta.url));
/** What stands between a handler and what it does wrong: the place to look at is further out. */
const machinery = ["runtime/executor/child/", "runtime/job-types/", "runtime/lib/", "supabase/functions/_shared/"];

/**
 * Where an error comes from in code that its author can change: the first place that is not of Node.js, of a package or of what
 * calls handlers. Null when there is none. Never throws.
 */
export function codePlace(error: unknown): CodePlace | null {
  try {
    if (!(error instanceof Error)) return null;
    const stack = String(error.stack);
    return syntaxPlace(stack) ?? importPlace(error.message) ?? firstOwnFrame(stack);
  } catch {
    return null;
  }
}

/** `handlers/paint.ts:3:15` */
export function placeText({ file, line, column }: CodePlace): string {
  return column === null ? `${file}:${line}` : `${file}:${line}:${column}`;
}

/**
 * A stack that begins with a place is of an error in the form of a file, which was never run:
 *
 *     /srv/handlers/paint.ts:5          (or file:///srv/…)
 *       run: async () => { const x = ; }
 *                                    ^
 */
function syntaxPlace(stack: string): CodePlace | null {
  const [first = "", ...rest] = stack.split("\n");
  const [, address, line] = /^(file:\/\/\/.+|\/.+|[A-Za-z]:[\\/].+):(\d+)$/.exec(first) ?? [];
  if (address === undefined || line === undefined) return null;
  const mark = rest.slice(0, maxMarkLines).find((text) => /^\s*\^+\s*$/.test(text));
  return { file: pathOf(address), line: Number(line), column: mark === undefined ? null : mark.indexOf("^") + 1 };
}

const maxMarkLines = 4;

/** Node.js names what is missing and who imports it, but not where: the place is that of the import. */
function importPlace(message: string): CodePlace | null {
  const [, missing, importer] = /^[^'"]*['"]([^'"]+)['"].* imported from (.+)$/.exec(message) ?? [];
  if (missing === undefined || importer === undefined) return null;
  const file = pathOf(importer);
  const lines = linesOf(file);
  for (const [index, text] of lines.entries()) {
    for (const { 1: specifier = "", index: start } of text.matchAll(/["']([^"']+)["']/g)) {
      const isMeant = specifier === missing || specifier.startsWith(`${missing}/`) || names(specifier, file, missing);
      if (isMeant) return { file, line: index + 1, column: start + 1 };
    }
  }
  return lines.length === 0 ? null : { file, line: 1, column: null };
}

/** An alias (`#contract/…`) stands for a folder that only its package knows: it ends as what is missing. */
function names(specifier: string, importer: string, missing: string): boolean {
  if (specifier.startsWith("#")) return missing.endsWith(specifier.slice(specifier.indexOf("/")));
  return specifier.startsWith(".") && resolve(dirname(importer), specifier) === missing;
}

function firstOwnFrame(stack: string): CodePlace | null {
  for (const [, address = "", line, column] of stack.matchAll(/\(?(file:\/\/\/[^\s()]+?):(\d+):(\d+)\)?$/gm)) {
    const file = pathOf(address);
    if (isOwn(file)) return { file, line: Number(line), column: Number(column) };
  }
  return null;
}

function isOwn(file: string): boolean {
  if (file.includes("/node_modules/")) return false;
  const path = file.startsWith(projectFolder) ? file.slice(projectFolder.length) : "";
  return !machinery.some((folder) => path.startsWith(folder) && !path.includes("/testing/"));
}

/** A file that was loaded anew has a version behind its name. */
function pathOf(address: string): string {
  return address.startsWith("file:") ? fileURLToPath(address.replace(/\?.*$/, "")) : address.replace(/\?.*$/, "");
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split(/\r?\n/);
  } catch {
    return [];
  }
}

const linesAround = 2;
const maxLineCharacters = 160;

/** The lines around a place as compilers show them, the line itself marked; empty when the file cannot be read. Never throws. */
export function codeFrame({ file, line, column }: CodePlace): string {
  const lines = linesOf(file);
  if (lines.at(-1) === "") lines.pop();
  if (line > lines.length) return "";
  const first = Math.max(1, line - linesAround);
  const last = Math.min(lines.length, line + linesAround);
  const width = String(last).length;
  const shown = lines.slice(first - 1, last).map((text, index) => {
    const number = first + index;
    const row = `${number === line ? ">" : " "} ${String(number).padStart(width)} | ${text.slice(0, maxLineCharacters)}`;
    const hasMark = number === line && column !== null && column <= maxLineCharacters;
    // Tabs stay tabs, so that the mark stands where the terminal shows the character.
    return hasMark ? `${row}\n  ${" ".repeat(width)} | ${text.slice(0, column - 1).replace(/[^\t]/g, " ")}^` : row;
  });
  return shown.join("\n").replace(/[ \t]+$/gm, "");
}
