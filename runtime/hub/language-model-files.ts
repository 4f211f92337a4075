import { CodedError } from "#contract/errors.ts";
import { classNameOf } from "#runtime/check/models/class-name.ts";
import { modelKind, runnableKinds } from "#runtime/check/models/model-kinds.ts";
import { isOfGraph, namedPrecision, precisionsOf, suitingPrecision, type TargetDevice } from "./choose-precision.ts";
import type { HubFile } from "./hub-client.ts";

/** What the pipeline reads beside the graph. */
const smallFiles = new Set([
  ...["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"],
  ...["chat_template.jinja", "chat_template.json"],
]);

/** Which of the precisions is to be fetched. */
export interface PrecisionWish {
  readonly precision?: string | undefined;
  /** Requested when no precision is wanted. */
  device(): Promise<TargetDevice>;
}

/**
 * The files of a language model in one precision: repositories hold the same weights in up to eight.
 * @param folder has the repository's `config.json`
 * @throws CodedError MODEL_INVALID: no causal language model, without a tokenizer, or not in ONNX, with what to do;
 *   INVALID_REQUEST for a precision that is not there
 */
export async function chooseLanguageModel(
  files: readonly HubFile[],
  folder: string,
  { repo, precision, device }: PrecisionWish & { readonly repo: string },
): Promise<{ readonly files: readonly HubFile[]; readonly precision: string }> {
  const className = await classNameOf(folder);
  if (className === null || modelKind(className).worker !== "chat") {
    const what = className === null ? 'says in config.json no "architectures"' : `is a ${className}`;
    throw new CodedError("MODEL_INVALID", `${repo} ${what}, which no pipeline here runs; they run ${runnableKinds}.`);
  }
  if (!files.some(({ path }) => path === "tokenizer.json"))
    throw new CodedError(
      "MODEL_INVALID",
      `${repo} has no tokenizer.json, without which nothing can be read or written. Another revision of it may have one; transformers' save_pretrained writes it.`,
    );
  const graphs = precisionsOf(files);
  const chosen = precision === undefined ? suitingPrecision(graphs, await device()) : namedPrecision(graphs, precision);
  if (chosen === undefined) throw withoutGraph(repo, files);
  const wanted = files.filter(({ path }) => smallFiles.has(path) || isOfGraph(path, chosen.path));
  return { files: wanted, precision: chosen.precision };
}

function withoutGraph(repo: string, files: readonly HubFile[]): CodedError {
  const others = files.flatMap(({ path }) => (path.endsWith(".onnx") ? [path] : [])).slice(0, 3);
  const what =
    others.length > 0
      ? `has ONNX files of another layout (${others.join(", ")}), and no onnx/model.onnx`
      : "has its weights, but not as ONNX files: onnx/model.onnx is missing";
  return new CodedError(
    "MODEL_INVALID",
    `${repo} ${what}. onnx-community has many language models as they are wanted; or export it: docs/20-chat.md, The folder.`,
  );
}
