import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Preset, presetFile, presetsOfFile } from "#contract/enhancement-presets.ts";
import { CodedError } from "#contract/errors.ts";
import { describeProblems, parseWith } from "#contract/problems.ts";

/** The presets that come with the project. */
export const shippedPresets = fileURLToPath(new URL("../../supabase/functions/_shared/presets", import.meta.url));

const extension = ".json";
const maxBytes = 100_000;

/**
 * The presets of a folder's JSON files; each file is called like its preset.
 * @throws CodedError CONFIG_INVALID that names every file that is wrong, or the folder that cannot be read
 */
export async function readPresetFiles(folder: string): Promise<Preset[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw invalid([`the folder ${folder} cannot be read (${codeOf(error)}): make it, or leave PRESETS_DIR out`]);
  });
  const files = names.filter((name) => name.endsWith(extension) && !name.startsWith(".")).toSorted();
  const read = await Promise.all(files.map(async (name) => readPresetFile(folder, name)));
  const problems = read.flatMap((result) => (typeof result === "string" ? [result] : []));
  if (problems.length > 0) throw invalid(problems);
  return read.flatMap((result) => (typeof result === "string" ? [] : result));
}

/** The presets of one file, or what is wrong with it. */
async function readPresetFile(folder: string, name: string): Promise<Preset[] | string> {
  const path = join(folder, name);
  const text = await readFile(path, "utf8").catch((error: unknown) => ({ unread: codeOf(error) }));
  if (typeof text !== "string") return `${path} cannot be read (${text.unread})`;
  if (text.length > maxBytes) return `${path} has ${text.length} characters: must be at most ${maxBytes}`;
  const json = parsedJson(text);
  if (json === undefined) return `${path} is no JSON`;
  const parsed = parseWith(presetFile, json);
  if (!parsed.ok) return `${path}: ${describeProblems(parsed.problems)}`;
  const expected = name.slice(0, -extension.length);
  if (parsed.value.name === expected) return presetsOfFile(parsed.value);
  return `${path}: name is "${parsed.value.name}": must be "${expected}" as the file's`;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

function invalid(problems: readonly string[]): CodedError {
  return new CodedError("CONFIG_INVALID", `Presets of prompt enhancement are wrong:\n  ${problems.join("\n  ")}`);
}
