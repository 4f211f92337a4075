import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { modelKind, runnableKinds } from "#runtime/check/models/model-kinds.ts";
import { planOf } from "#runtime/check/models/model-plan.ts";
import { readOnnxFile } from "#runtime/check/models/onnx-file.ts";
import { isOfGraph } from "./choose-precision.ts";
import type { HubFile } from "./hub-client.ts";
import type { PrecisionWish } from "./language-model-files.ts";
import { chooseLanguageModel } from "./language-model-files.ts";
import type { RepositoryReference } from "./repository.ts";

/*
 * Which files of a repository a worker loads. Repositories hold the same weights several times (safetensors, other
 * frameworks, half the precision, one file for other programs); of a component that is ONNX `model.onnx` with its weights,
 * configs and vocabularies.
 */
const indexFile = "model_index.json";
/** In its place where the repository is a language model, of one part and in transformers' layout. */
const configFile = "config.json";

/** What is read beside the components, where it is there. */
const besideComponents = ["generation_config.json"];
const modelIndex = z.looseObject({ _class_name: z.string() });

export interface ChosenFiles {
  readonly files: readonly HubFile[];
  /** Of a language model, which is there in several. */
  readonly precision?: string;
}

/**
 * @param folder has the repository's index, see {@link indexOf}
 * @throws CodedError MODEL_INVALID: no model that runs here, or not in ONNX, with what to do; INVALID_REQUEST for a precision
 *   that the model is not there in
 */
export async function chooseFiles(
  files: readonly HubFile[],
  folder: string,
  wanted: Pick<RepositoryReference, "repo"> & PrecisionWish,
): Promise<ChosenFiles> {
  const { repo, precision } = wanted;
  const names = new Set(files.map(({ path }) => path));
  if (!names.has(indexFile)) return await chooseLanguageModel(files, folder, wanted);
  if (precision !== undefined)
    throw new CodedError("INVALID_REQUEST", `${repo} is no language model, and is fetched in one precision only.`);
  await checkKind(folder, repo);
  const plan = await planOf(folder);
  const missing = plan.required.filter((choices) => !choices.some((name) => names.has(name)));
  if (missing.length > 0) throw incomplete(repo, missing, names);
  const needed = new Set([indexFile, ...besideComponents, ...plan.required.flat(), ...plan.configs]);
  for (const path of names) if (isOfComponent(path, names)) needed.add(path);
  for (const path of names)
    if ([...needed].some((onnx) => onnx.endsWith(".onnx") && isOfGraph(path, onnx))) needed.add(path);
  return { files: files.filter(({ path }) => needed.has(path)) };
}

/** What says what kind of model it is: read before anything is chosen. @throws CodedError MODEL_INVALID */
export function indexOf(files: readonly HubFile[], { repo }: Pick<RepositoryReference, "repo">): HubFile {
  const index = [indexFile, configFile].map((name) => files.find(({ path }) => path === name)).find((file) => file);
  if (index !== undefined) return index;
  throw new CodedError(
    "MODEL_INVALID",
    `${repo} has no ${indexFile} and no ${configFile}, so it is no model of the kinds that run here: ${runnableKinds}.`,
  );
}

/** Files of weights that the ONNX files here name, whatever they are called. @throws CodedError MODEL_INVALID */
export async function furtherWeights(
  chosen: readonly HubFile[],
  files: readonly HubFile[],
  folder: string,
): Promise<HubFile[]> {
  const known = new Set(chosen.map(({ path }) => path));
  const further = new Map<string, HubFile>();
  for (const { path } of chosen.filter(isOnnx)) {
    const { problem, external } = await readOnnxFile(join(folder, path));
    if (problem !== null) throw new CodedError("MODEL_INVALID", `The repository's ${path} ${problem}.`);
    for (const location of external.keys()) {
      const name = join(dirname(path), location);
      const file = files.find((each) => each.path === name);
      if (file !== undefined && !known.has(name)) further.set(name, file);
    }
  }
  return [...further.values()];
}

function isOnnx({ path }: HubFile): boolean {
  return path.endsWith(".onnx");
}

/** `vae_encoder/model.onnx`, `controlnet/model.onnx`: parts that the index may not list, each in its folder with its config. */
function isOfComponent(path: string, names: ReadonlySet<string>): boolean {
  const [, folder = "", file = ""] = /^([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (!/^(?:model|first|next)\.onnx$|^(?:preprocessor_)?config\.json$/.test(file)) return false;
  const hasGraph = names.has(`${folder}/model.onnx`) || names.has(`${folder}/first.onnx`);
  return hasGraph && names.has(`${folder}/config.json`);
}

async function checkKind(folder: string, repo: string): Promise<void> {
  const parsed = await readFile(join(folder, indexFile), "utf8")
    .then((text) => modelIndex.safeParse(JSON.parse(text)))
    .catch(() => undefined);
  const className = parsed?.data?._class_name;
  if (className === undefined)
    throw new CodedError("MODEL_INVALID", `${indexFile} of ${repo} is no JSON object with a "_class_name".`);
  if (modelKind(className).worker !== null) return;
  throw new CodedError(
    "MODEL_INVALID",
    `${repo} is a ${className}, which no pipeline here runs; they run ${runnableKinds}.`,
  );
}

const maxNamed = 4;

function incomplete(repo: string, missing: readonly (readonly string[])[], names: ReadonlySet<string>): CodedError {
  const absent = missing.map((choices) => choices.join(" or "));
  const named = `${absent.slice(0, maxNamed).join(", ")}${absent.length > maxNamed ? " and others" : ""}`;
  const hasWeights = [...names].some((name) => /\.(?:safetensors|bin)$/.test(name));
  const lacksGraph = absent.some((name) => name.endsWith(".onnx"));
  const what = lacksGraph && hasWeights ? "has its weights, but not as ONNX files" : "is not complete";
  const advice = lacksGraph
    ? "Download it with another program and export it: docs/4-models.md, Export a checkpoint."
    : "Another revision of it may be complete.";
  return new CodedError(
    "MODEL_INVALID",
    `${repo} ${what}: ${named} ${absent.length === 1 ? "is" : "are"} missing. ${advice}`,
  );
}
