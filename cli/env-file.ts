import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { parseEnv } from "node:util";
import { CodedError } from "#contract/errors.ts";
import { type EnvProblem, envProblems } from "./env-lines.ts";
import { note } from "./output.ts";

/** What a `.env` file added to the environment. */
export interface EnvFile {
  readonly path: string;
  /** Names of the variables that were taken from it; those that were set already keep their values. */
  readonly variables: readonly string[];
  /** Lines that are passed over, or may not mean what they look like. */
  readonly problems: readonly EnvProblem[];
}

/** Says at the terminal which lines are not read as they look. */
export function noteProblems(file: EnvFile | null): void {
  for (const { line, problem } of file?.problems ?? []) note(`warning: ${file?.path}, line ${line}, ${problem}.`);
}

/**
 * Reads the `.env` of the folder that a command is run in, as `docker run --env-file` and other tools would. What the
 * environment itself has counts. Null when there is none.
 *
 * @throws CodedError CONFIG_INVALID when it is there and cannot be read
 */
export function loadEnvFile(path = resolve(".env"), env: NodeJS.ProcessEnv = process.env): EnvFile | null {
  const text = read(path);
  if (text === null) return null;
  const plain = text.replace(/^\uFEFF/, "");
  const added = Object.entries(parseEnv(plain)).filter(([name]) => env[name] === undefined);
  for (const [name, value] of added) env[name] = value;
  return { path, variables: added.map(([name]) => name), problems: envProblems(plain) };
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    if (code === "ENOENT") return null;
    throw new CodedError("CONFIG_INVALID", `${path} cannot be read (${code}): make it readable, or take it away.`, {
      cause,
    });
  }
}
