import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { PermanentError } from "#contract/errors.ts";
import type { ModelFolder } from "#contract/handler.ts";
import { filesIn, signatureOf } from "#runtime/lib/folder-files.ts";
import { lorasFolderName } from "./loras.ts";

/*
 * Finds a model's folder by name. `<models folder>/aliases.json` may give a name to another folder
 * (`{"sdxl": "tiny-sdxl"}`); a real folder of that name goes first, so that putting a model in place is enough.
 */
const aliases = z.record(z.string(), z.string());
const parameterSets = z.record(z.string(), z.record(z.string(), z.unknown())).optional();
const generationConfig = z.looseObject({ job_types: parameterSets, sampler_presets: parameterSets });
const safeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Whether a job may name a model so. */
export function isModelName(name: string): boolean {
  return safeName.test(name) && name !== lorasFolderName;
}

export interface ModelEntry extends Pick<ModelFolder, "name" | "path"> {
  /** Name under which it was asked for. */
  readonly alias: string | null;
}

/** @throws PermanentError MODEL_NOT_FOUND, MODEL_INVALID (unreadable aliases.json) */
export async function findModel(modelsFolder: string, name: string): Promise<ModelEntry> {
  if (!isModelName(name)) {
    const problem = name === lorasFolderName ? "that folder has LoRA files" : "use letters, digits, '.', '_' and '-'";
    throw new PermanentError(`"${name}" is not a model's name: ${problem}.`, { code: "MODEL_NOT_FOUND" });
  }
  const direct = join(modelsFolder, name);
  if (await isFolder(direct)) return { name, path: direct, alias: null };
  const target = (await readAliases(modelsFolder))[name];
  if (target !== undefined && safeName.test(target)) {
    const path = join(modelsFolder, target);
    if (await isFolder(path)) return { name: target, path, alias: name };
    throw new PermanentError(
      `The model "${name}" stands for "${target}", but the folder ${path} is missing; put the model there.`,
      { code: "MODEL_NOT_FOUND" },
    );
  }
  throw new PermanentError(
    `The model "${name}" is missing: there is no folder ${direct}. Fetch one (ourvidz models pull), export a checkpoint into it (docs/4-models.md), or set MODELS_DIR.`,
    { code: "MODEL_NOT_FOUND" },
  );
}

/** Of the folder's files as they are now: changes when one is written to or replaced. @throws PermanentError MODEL_NOT_FOUND */
export async function modelVersion(path: string): Promise<string> {
  try {
    return signatureOf(await filesIn(path));
  } catch (cause) {
    throw new PermanentError(`The model's folder ${path} cannot be read: it is being replaced, or is not readable.`, {
      code: "MODEL_NOT_FOUND",
      cause,
    });
  }
}

/**
 * The model's own defaults of generation parameters: for all jobs, under `job_types` for single types, and under
 * `sampler_presets` for single schedulers. A model without the file has none.
 */
export async function readGenerationConfig(
  model: Pick<ModelFolder, "path">,
): Promise<Readonly<Record<string, unknown>>> {
  return (await readJson(join(model.path, "generation_config.json"), generationConfig)) ?? {};
}

export async function readAliases(modelsFolder: string): Promise<Readonly<Record<string, string>>> {
  return (await readJson(join(modelsFolder, "aliases.json"), aliases)) ?? {};
}

async function readJson<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema> | null> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  });
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new PermanentError(
      `${path} is not valid: it must hold one JSON object (names for aliases.json; for generation_config.json parameters, and objects of parameters in job_types and sampler_presets).`,
      { code: "MODEL_INVALID", cause },
    );
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
}
