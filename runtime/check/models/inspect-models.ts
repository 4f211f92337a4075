import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { readAliases } from "#runtime/executor/child/models.ts";
import { checkOnnxFile, externalDataFiles } from "./onnx-file.ts";

/** A model's folder: what it consists of and what is wrong with it. */
export interface ModelReport {
  readonly name: string;
  /** Other names under which handlers may ask for it. */
  readonly aliases: readonly string[];
  readonly sizeBytes: number;
  readonly components: readonly string[];
  /** Sentences that name a file. */
  readonly problems: readonly string[];
}

/** @throws CodedError MODEL_NOT_FOUND when there is no models folder, MODEL_INVALID for an unreadable aliases.json */
export async function inspectModels(modelsFolder: string): Promise<ModelReport[]> {
  const entries = await readdir(modelsFolder, { withFileTypes: true }).catch((cause: unknown) => {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    throw new CodedError(
      "MODEL_NOT_FOUND",
      `The models folder ${modelsFolder} cannot be read (${code}): make it, or set MODELS_DIR to another one.`,
      { cause },
    );
  });
  const aliases = Object.entries(await readAliases(modelsFolder));
  const folders: string[] = [];
  for (const { name } of entries) {
    // A link to a folder counts: big models often lie on another disk.
    const isFolder = await stat(join(modelsFolder, name)).then(
      (entry) => entry.isDirectory(),
      () => false,
    );
    if (isFolder && !name.startsWith(".")) folders.push(name);
  }
  const reports = folders.sort().map(async (name) => {
    const names = aliases.filter(([alias, target]) => target === name && !folders.includes(alias));
    return { ...(await inspectModel(join(modelsFolder, name))), name, aliases: names.map(([alias]) => alias) };
  });
  const targets = new Set(aliases.map(([, target]) => target).filter((target) => !folders.includes(target)));
  const absent = [...targets].map((target) => absentModel(modelsFolder, target, aliases));
  return [...(await Promise.all(reports)), ...absent];
}

/** A folder that only aliases.json knows. */
function absentModel(modelsFolder: string, name: string, aliases: readonly (readonly [string, string])[]): ModelReport {
  const names = aliases.filter(([, target]) => target === name).map(([alias]) => alias);
  const problem = `${join(modelsFolder, name)} is missing: aliases.json says that ${names.join(", ")} is there`;
  return { name, aliases: names, sizeBytes: 0, components: [], problems: [problem] };
}

async function inspectModel(folder: string): Promise<Pick<ModelReport, "sizeBytes" | "components" | "problems">> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = files
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path).catch(() => null))?.size ?? 0));
  const plan = await planOf(folder);
  const missing = plan.required
    .map((files) => files.map((file) => join(folder, file)))
    .filter((choices) => !choices.some((path) => paths.includes(path)))
    .map((choices) => `${choices.join(" or ")} is missing`);
  const damaged = await Promise.all(paths.filter((path) => path.endsWith(".onnx")).map(onnxProblems));
  const nothing = plan.components.length === 0 && !paths.some((path) => path.endsWith(".onnx"));
  return {
    sizeBytes: sizes.reduce((sum, size) => sum + size, 0),
    components: plan.components,
    problems: [
      ...plan.problems,
      ...missing,
      ...damaged.flat(),
      ...(nothing ? [`${folder} holds no model: there is no model_index.json, no config.json and no ONNX file`] : []),
    ],
  };
}

async function onnxProblems(path: string): Promise<string[]> {
  const problem = await checkOnnxFile(path);
  if (problem !== null) return [`${path} ${problem}`];
  const missing: string[] = [];
  for (const name of await externalDataFiles(path)) {
    const file = join(path, "..", name);
    const size = await stat(file).then(
      (entry) => entry.size,
      () => 0,
    );
    if (size === 0) missing.push(`${file} is missing or empty: it holds the weights of ${path}`);
  }
  return missing;
}

interface ModelPlan {
  readonly components: readonly string[];
  /** Paths inside the folder; of each list one must be there. */
  readonly required: readonly (readonly string[])[];
  readonly problems: readonly string[];
}

/** In `model_index.json`: component → [library, class]; parts that a model does not have are null. */
const modelIndex = z.record(z.string(), z.unknown());
const presentComponent = z.tuple([z.string(), z.string()]);

/** What a folder must hold: a diffusers pipeline says it in model_index.json, a language model has a config.json. */
async function planOf(folder: string): Promise<ModelPlan> {
  const index = await readJson(join(folder, "model_index.json"));
  if (index.kind === "invalid") return { components: [], required: [], problems: [index.problem] };
  if (index.kind === "read") {
    const present = Object.entries(index.value).flatMap(([name, entry]) => {
      const parsed = presentComponent.safeParse(entry);
      return parsed.success && !name.startsWith("_") ? [{ name, className: parsed.data[1] }] : [];
    });
    return {
      components: present.map(({ name }) => name),
      required: present.flatMap(({ name, className }) => filesOf(name, className)),
      problems: [],
    };
  }
  const config = await readJson(join(folder, "config.json"));
  if (config.kind === "invalid") return { components: [], required: [], problems: [config.problem] };
  if (config.kind === "read") {
    return { components: ["language model", "tokenizer"], required: [["tokenizer.json"]], problems: [] };
  }
  return { components: [], required: [], problems: [] };
}

/** Files of one component, as diffusers and `optimum-cli export onnx` lay them out; of each list one must be there. */
function filesOf(name: string, className: string): string[][] {
  // SDXL folders have the older form, which is enough.
  if (className.includes("Tokenizer")) return [[`${name}/tokenizer.json`, `${name}/vocab.json`]];
  if (className.includes("Scheduler")) return [[`${name}/scheduler_config.json`]];
  if (/Processor|FeatureExtractor/.test(className)) return [[`${name}/preprocessor_config.json`]];
  // The encoder is for jobs that begin with a picture; a model that draws from text works without it.
  const folder = name === "vae" ? "vae_decoder" : name;
  return [[`${folder}/config.json`], [`${folder}/model.onnx`]];
}

type JsonFile =
  | { readonly kind: "read"; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "missing" }
  | { readonly kind: "invalid"; readonly problem: string };

async function readJson(path: string): Promise<JsonFile> {
  try {
    return { kind: "read", value: modelIndex.parse(JSON.parse(await readFile(path, "utf8"))) };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { kind: "missing" };
    return { kind: "invalid", problem: `${path} is no JSON object` };
  }
}
