import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { flowSchedulerNames, schedulerNames } from "#contract/scheduler-names.ts";
import { conditionsPlan, shownPart } from "./conditions-plan.ts";
import { refinerPlan } from "./refiner-plan.ts";

/* What a model folder has to hold: a diffusers pipeline lists it in model_index.json, a language model has a config.json. */
export interface ModelPlan {
  readonly components: readonly string[];
  /** Paths inside the folder; of each list one must be there. */
  readonly required: readonly (readonly string[])[];
  /** JSON files that are read at loading when they are there. */
  readonly configs: readonly string[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** In `model_index.json`: component → [library, class]; parts that a model does not have are null. */
const presentComponent = z.tuple([z.string(), z.string()]);
const schedulerConfig = z.looseObject({ _class_name: z.string() });

export async function planOf(folder: string): Promise<ModelPlan> {
  const plan = { components: [], required: [], configs: [], problems: [], warnings: [] };
  const index = await readJson(join(folder, "model_index.json"));
  if (index.kind === "invalid") return { ...plan, problems: [index.problem] };
  if (index.kind === "read") return diffusersPlan(folder, index.value);
  const config = await readJson(join(folder, "config.json"));
  if (config.kind === "invalid") return { ...plan, problems: [config.problem] };
  if (config.kind === "missing") return plan;
  return {
    ...plan,
    components: ["language model", "tokenizer"],
    required: [["tokenizer.json"]],
    configs: ["tokenizer.json", "tokenizer_config.json", "generation_config.json"],
  };
}

const noParts = { components: [], required: [], configs: [] } as const;

async function diffusersPlan(folder: string, index: Readonly<Record<string, unknown>>): Promise<ModelPlan> {
  const present = Object.entries(index).flatMap(([name, entry]) => {
    const parsed = presentComponent.safeParse(entry);
    return parsed.success && !name.startsWith("_") ? [{ name, className: parsed.data[1] }] : [];
  });
  const schedulers = present.filter(({ className }) => className.includes("Scheduler"));
  const { _class_name: ofPipeline } = index;
  const isWan = ofPipeline === "WanPipeline";
  const known = (isWan ? flowSchedulerNames : schedulerNames).filter((name) => name.endsWith("Scheduler"));
  const warnings = await Promise.all(schedulers.map(({ name }) => schedulerWarning(folder, name, known)));
  const isSdxl = typeof ofPipeline === "string" && ofPipeline.includes("StableDiffusionXL");
  const refiner = isSdxl ? await refinerPlan(folder) : noParts;
  const listed = new Set(present.map(({ name }) => name));
  const conditions = isSdxl ? await conditionsPlan(folder, listed) : { ...noParts, warnings: [] };
  return {
    components: [...present.map(({ name }) => shownPart(name)), ...conditions.components, ...refiner.components],
    required: [
      ...present.flatMap(({ name, className }) => filesOf(name, className)),
      ...[...conditions.required, ...refiner.required].map((file) => [file]),
    ],
    configs: [
      "generation_config.json",
      ...present.flatMap(({ name, className }) => configsOf(name, className)),
      ...conditions.configs,
      ...refiner.configs,
    ],
    problems: [],
    warnings: [...warnings.filter((warning) => warning !== null), ...conditions.warnings],
  };
}

/** The decoder of a video's first frame, and that of those which follow. */
const chunkedVae = ["first.onnx", "next.onnx"];

/** Their vocabulary is in no other file that is read here. */
function isSentencePiece(className: string): boolean {
  return /^(?:U?M?T5Tokenizer|TokenizersBackend)/.test(className);
}

/** Files of one component, as diffusers and `optimum-cli export onnx` lay them out; of each list one must be there. */
function filesOf(name: string, className: string): string[][] {
  if (isSentencePiece(className)) return [[`${name}/tokenizer.json`]];
  // SDXL folders have the older form, which is enough.
  if (className.includes("Tokenizer"))
    return [
      [`${name}/tokenizer.json`, `${name}/vocab.json`],
      [`${name}/tokenizer.json`, `${name}/merges.txt`],
    ];
  if (className.includes("Scheduler")) return [[`${name}/scheduler_config.json`]];
  if (/Processor|FeatureExtractor/.test(className)) return [[`${name}/preprocessor_config.json`]];
  const onnxFiles = className === "AutoencoderKLWan" ? chunkedVae : ["model.onnx"];
  return [`config.json`, ...onnxFiles].map((file) => [`${folderOf(name)}/${file}`]);
}

function configsOf(name: string, className: string): string[] {
  if (className.includes("Tokenizer"))
    return ["tokenizer.json", "vocab.json", "tokenizer_config.json", "special_tokens_map.json"].map(
      (file) => `${name}/${file}`,
    );
  if (className.includes("Scheduler")) return [`${name}/scheduler_config.json`];
  if (/Processor|FeatureExtractor/.test(className)) return [`${name}/preprocessor_config.json`];
  return [`${folderOf(name)}/config.json`];
}

/** The encoder is for jobs that begin with a picture; a model that draws from text works without it. */
function folderOf(name: string): string {
  return name === "vae" ? "vae_decoder" : name;
}

/** A warning only: a handler may bring schedulers of its own. */
async function schedulerWarning(folder: string, name: string, known: readonly string[]): Promise<string | null> {
  const path = join(folder, name, "scheduler_config.json");
  const config = await readJson(path);
  // What is missing or no JSON is named elsewhere.
  if (config.kind !== "read") return null;
  const parsed = schedulerConfig.safeParse(config.value);
  if (!parsed.success) return `${path} names no scheduler: it has no "_class_name"`;
  const className = parsed.data._class_name;
  if (known.includes(className)) return null;
  return `${path} names the scheduler ${className}, which the pipelines here do not have; there are: ${known.join(", ")}`;
}

export type JsonFile =
  | { readonly kind: "read"; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "missing" }
  | { readonly kind: "invalid"; readonly problem: string };

/** The vocabulary of a large language model; parsing more would hold the process up. */
const maxParsedBytes = 4 * 2 ** 20;

/** A file that is too large to be parsed here counts as read when its ends are those of an object; its value is empty. */
export async function readJson(path: string): Promise<JsonFile> {
  try {
    const { size } = await stat(path);
    const text = await readFile(path, "utf8");
    if (size > maxParsedBytes && /^\s*\{/.test(text.slice(0, 64)) && text.trimEnd().endsWith("}"))
      return { kind: "read", value: {} };
    const value: unknown = JSON.parse(withoutInfinity(text));
    if (isObject(value)) return { kind: "read", value };
    return { kind: "invalid", problem: `${path} is no JSON object` };
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return { kind: "missing" };
    return { kind: "invalid", problem: `${path} is no JSON object, or is cut off` };
  }
}

/** By hand: a schema would go through every entry of a vocabulary. */
function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** As the pipelines read it: Python writes numbers that JSON does not have, such as `-Infinity` for "no limit". */
function withoutInfinity(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (match) => (match.startsWith('"') ? match : "null"));
}
