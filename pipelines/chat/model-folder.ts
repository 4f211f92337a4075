import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelNotFound, modelUnsuitable } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import { type GraphFile, graphFilesOf } from "./graph-files.ts";

const ids = z.union([z.int().nonnegative(), z.array(z.int().nonnegative())]);
const tokens = z.int().positive().nullish();

const modelConfig = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  vocab_size: z.int().positive(),
  eos_token_id: ids.nullish(),
  max_position_embeddings: tokens,
  n_positions: tokens,
  n_ctx: tokens,
  max_seq_len: tokens,
});

const generationConfig = z.looseObject({ eos_token_id: ids.nullish() });

/** What the small files of a language model's folder say. */
export interface ChatModelFolder {
  readonly path: string;
  /** transformers' name of the class: `Qwen2ForCausalLM`. */
  readonly className: string;
  /** Tokens of prompt and answer together. */
  readonly contextTokens: number;
  /** Scores that the model gives each step; its tokenizer may have fewer tokens. */
  readonly vocabularySize: number;
  /** Tokens that end an answer; empty: the tokenizer's own end mark does. */
  readonly endIds: readonly number[];
  /** The same model in several precisions, the most exact first. */
  readonly graphs: readonly GraphFile[];
}

/** Looks at model folders as the pipeline does when it loads one; importing it loads no model code. */
export const modelCheck = {
  takes: (className: string): boolean => /(?:ForCausalLM|LMHeadModel)$/.test(className),
  read: readModelFolder,
};

/**
 * Reads a folder as the ONNX hub and `tools/export/export_chat.py` lay it out: `config.json`, `generation_config.json`,
 * `tokenizer.json`, and `onnx/model*.onnx` or `model.onnx`.
 * @throws PipelineError MODEL_NOT_FOUND naming the missing file, MODEL_UNSUITABLE when it is no causal language model,
 *   MODEL_INVALID when a file does not say what it has to
 */
export async function readModelFolder(path: string): Promise<ChatModelFolder> {
  const configPath = join(path, "config.json");
  const config = await readJson(configPath, modelConfig);
  if (config === undefined) throw modelNotFound("a config of the model", configPath);
  const className = config.architectures?.[0];
  if (className === undefined) throw modelInvalid(configPath, 'there are no "architectures" that say what model it is');
  if (!modelCheck.takes(className)) {
    throw modelUnsuitable(
      path,
      `the model is a ${className}; this pipeline runs causal language models (…ForCausalLM)`,
    );
  }
  const contextTokens =
    config.max_position_embeddings ?? config.n_positions ?? config.n_ctx ?? config.max_seq_len ?? undefined;
  if (contextTokens === undefined) {
    throw modelInvalid(configPath, 'there is no "max_position_embeddings" that says how many tokens it reads');
  }
  const generation = await readJson(join(path, "generation_config.json"), generationConfig);
  const tokenizerPath = join(path, "tokenizer.json");
  // Of several megabytes: whether it is one is seen when it is loaded.
  if ((await readJson(tokenizerPath, z.unknown())) === undefined) throw modelNotFound("the tokenizer", tokenizerPath);
  return {
    path,
    className,
    contextTokens,
    vocabularySize: config.vocab_size,
    endIds: [generation?.eos_token_id ?? config.eos_token_id ?? []].flat(),
    graphs: await graphFilesOf(path),
  };
}
