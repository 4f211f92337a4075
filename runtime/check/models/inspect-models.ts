import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { lorasFolderName } from "#runtime/executor/loras.ts";
import { readAliases } from "#runtime/executor/models.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { type FolderReport, inspectModel } from "./inspect-model.ts";
import { misfitsOf } from "./misfits.ts";

/** A model's folder: what it consists of and what is wrong with it. */
export interface ModelReport extends FolderReport {
  readonly name: string;
  /** Other names under which handlers may ask for it. */
  readonly aliases: readonly string[];
}

/**
 * @param registry whose job types use the models; null when it cannot be read, and then files alone are looked at
 * @throws CodedError MODEL_NOT_FOUND when there is no models folder, MODEL_INVALID for an unreadable aliases.json
 */
export async function inspectModels(
  modelsFolder: string,
  registry: Pick<Registry, "all"> | null,
): Promise<ModelReport[]> {
  const folders = await modelFolders(modelsFolder);
  const aliases = Object.entries(await readAliases(modelsFolder));
  const reports = folders.map(async (name) => {
    const names = aliases.filter(([alias, target]) => target === name && !folders.includes(alias));
    const known = [name, ...names.map(([alias]) => alias)];
    const report = await inspectForUse(join(modelsFolder, name), known, registry?.all() ?? null);
    return { ...report, name, aliases: known.slice(1) };
  });
  const targets = new Set(aliases.map(([, target]) => target).filter((target) => !folders.includes(target)));
  const absent = [...targets].map((target) => absentModel(modelsFolder, target, aliases));
  return [...(await Promise.all(reports)), ...absent];
}

/** What is missing or cut off says enough: only a folder that is whole is looked at for how its parts fit. */
async function inspectForUse(
  path: string,
  names: readonly string[],
  handlers: readonly Handler[] | null,
): Promise<FolderReport> {
  const report = await inspectModel(path);
  if (handlers === null || report.problems.length > 0) return report;
  const users = handlers.filter(({ model }) => model !== undefined && names.includes(model));
  const { problems, warnings } = await misfitsOf(path, users, handlers);
  return { ...report, problems, warnings: report.warnings.length > 0 ? report.warnings : warnings };
}

/**
 * Names of the folders in the models folder, sorted.
 * @throws CodedError MODEL_NOT_FOUND when there is no models folder
 */
export async function modelFolders(modelsFolder: string): Promise<string[]> {
  const names = await readdir(modelsFolder).catch((cause: unknown) => {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    throw new CodedError(
      "MODEL_NOT_FOUND",
      `The models folder ${modelsFolder} cannot be read (${code}): make it, or set MODELS_DIR to another one.`,
      { cause },
    );
  });
  const folders: string[] = [];
  for (const name of names) {
    // A link to a folder counts: big models often lie on another disk.
    const isFolder = await stat(join(modelsFolder, name)).then(
      (entry) => entry.isDirectory(),
      () => false,
    );
    if (isFolder && !name.startsWith(".") && name !== lorasFolderName) folders.push(name);
  }
  return folders.sort();
}

/** A folder that only aliases.json knows. */
function absentModel(modelsFolder: string, name: string, aliases: readonly (readonly [string, string])[]): ModelReport {
  const names = aliases.filter(([, target]) => target === name).map(([alias]) => alias);
  const problem = `${join(modelsFolder, name)} is missing: aliases.json names it for ${names.join(", ")}`;
  return {
    name,
    aliases: names,
    sizeBytes: 0,
    components: [],
    problems: [problem],
    warnings: [],
    signature: "",
  };
}
