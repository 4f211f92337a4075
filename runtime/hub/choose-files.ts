import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { modelKind, runnableKinds } from "#runtime/check/models/model-kinds.ts";
import { planOf } from "#runtime/check/models/model-plan.ts";
import { readOnnxFile } from "#runtime/check/models/onnx-file.ts";
import type { HubFile } from "./hub-client.ts";
import type { RepositoryReference } from "./repository.ts";

/*
 * Which files of a repository a worker loads. Repositories hold the same weights several times (safetensors, other
 * frameworks, half the precision, one file for other programs); of a component that is ONNX `model.onnx` with its weights,
 * configs and vocabularies.
 */
export const indexFile = "model_index.json";

/** What is read beside the components, where it is there. */
const besideComponents = ["generation_config.json"];
const modelIndex = z.looseObject({ _class_name: z.string() });

/**
 * @param folder has the repository's `model_index.json`
 * @throws CodedError MODEL_INVALID: no model that runs here, or not in ONNX, with what to do
 */
export async function chooseFiles(
  files: readonly HubFile[],
  folder: string,
  { repo }: Pick<RepositoryReference, "repo">,
): Promise<HubFile[]> {
  const names = new Set(files.map(({ path }) => path));
  await checkKind(folder, repo);
  const plan = await planOf(folder);
  const missing = plan.required.filter((choices) => !choices.some((name) => names.has(name)));
  if (missing.length > 0) throw incomplete(repo, missing, names);
  const wanted = new Set([indexFile, ...besideComponents, ...plan.required.flat(), ...plan.configs]);
  for (const path of names) if (isOfComponent(path, names)) wanted.add(path);
  for (const path of names) if ([...wanted].some((onnx) => isWeightsOf(path, onnx))) wanted.add(path);
  return files.filter(({ path }) => wanted.has(path));
}

/** No repository without a list of its parts is one that runs here. @throws CodedError MODEL_INVALID */
export function indexOf(files: readonly HubFile[], { repo }: Pick<RepositoryReference, "repo">): HubFile {
  const index = files.find(({ path }) => path === indexFile);
  if (index !== undefined) return index;
  throw new CodedError(
    "MODEL_INVALID",
    `${repo} has no ${indexFile}, so it is no model of the kinds that run here (${runnableKinds}, as folders of diffusers).`,
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

/** `model.onnx_data`, `model.onnx.data`, `model.onnx_data_1`: weights are put beside their graph under its name. */
function isWeightsOf(path: string, onnx: string): boolean {
  return onnx.endsWith(".onnx") && path.startsWith(onnx) && /^[._-]?data/.test(path.slice(onnx.length));
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
