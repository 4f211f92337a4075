import { invalidJob, modelInvalid } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { concat, sliceBatch, type Tensor, zeros } from "#pipelines/core/tensor.ts";
import { chunkTokens, countChunks } from "#pipelines/text/chunks.ts";
import type { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";

/** One of SDXL's two text encoders with its tokenizer. */
export interface TextEncoder {
  readonly tokenizer: ClipTokenizer;
  readonly model: Component;
}

export interface PromptRequest {
  readonly prompt: string;
  /** Absent is not the same as empty: see `forceZerosForEmptyPrompt`. */
  readonly negativePrompt?: string | undefined;
  /** Whether the negative embeddings are needed at all. */
  readonly guided: boolean;
  /** Layers to skip beyond the last, which SDXL always skips. Like diffusers, for the positive prompt only. */
  readonly clipSkip?: number | undefined;
}

/** What the UNet is conditioned on: `[1, chunks · 77, width of both encoders]` and the pooled `[1, projection]`. */
export interface TextEmbeddings {
  readonly hidden: Tensor;
  readonly pooled: Tensor;
}

export interface PromptEmbeddings {
  readonly positive: TextEmbeddings;
  /** Only when guided. */
  readonly negative: TextEmbeddings | undefined;
  /** Tokens of the longer tokenization, without begin and end. */
  readonly promptTokens: number;
  readonly negativePromptTokens: number;
  /** Chunks that both prompts were padded to. */
  readonly chunks: number;
}

/**
 * Encodes prompt and negative prompt with both encoders: the hidden states before the last layer, side by side, and the
 * projected output of the second (`encode_prompt` of diffusers' `StableDiffusionXLPipeline`). Prompts of more than 75
 * tokens are encoded in chunks and laid end to end; the pooled output is that of the first chunk, as compel takes it.
 * @throws PipelineError INVALID_JOB when clip skip leaves no layer
 */
export async function encodePrompt(
  encoders: readonly [TextEncoder, TextEncoder],
  forceZerosForEmptyPrompt: boolean,
  request: PromptRequest,
): Promise<PromptEmbeddings> {
  const encodesNegative = request.guided && !(request.negativePrompt === undefined && forceZerosForEmptyPrompt);
  const texts = encodesNegative ? [request.prompt, request.negativePrompt ?? ""] : [request.prompt];
  const tokens = encoders.map(({ tokenizer }) => texts.map((text) => tokenizer.encode(text)));
  const counts = texts.map((_, text) => Math.max(...tokens.map((perText) => perText[text]?.length ?? 0)));
  const chunks = Math.max(
    ...encoders.flatMap(({ tokenizer }, index) =>
      (tokens[index] ?? []).map((ids) => countChunks(ids.length, tokenizer.maxLength)),
    ),
  );
  const first = await encodeTexts(encoders[0], tokens[0] ?? [], chunks, request.clipSkip ?? 0);
  const second = await encodeTexts(encoders[1], tokens[1] ?? [], chunks, request.clipSkip ?? 0);
  const embeddings = texts.map((_, text) => joinEncoders(first[text], second[text]));

  const positive = required(embeddings[0]);
  const negative = encodesNegative ? embeddings[1] : zerosLike(positive);
  return {
    positive,
    negative: request.guided ? negative : undefined,
    promptTokens: counts[0] ?? 0,
    negativePromptTokens: counts[1] ?? 0,
    chunks,
  };
}

interface EncodedText {
  /** `[1, chunks · maxLength, hidden size]` */
  readonly hidden: Tensor;
  /** `[1, projection]`, from an encoder that projects. */
  readonly pooled: Tensor | undefined;
}

/** Runs one encoder on the chunks of all texts at once. The first text is the prompt, a second the negative prompt. */
async function encodeTexts(
  { tokenizer, model }: TextEncoder,
  texts: readonly (readonly number[])[],
  chunks: number,
  clipSkip: number,
): Promise<EncodedText[]> {
  const rows = texts.map((tokens) => chunkTokens(tokens, tokenizer, chunks));
  const data = new Int32Array(rows.length * chunks * tokenizer.maxLength);
  rows.forEach((row, index) => {
    data.set(row.data, index * row.data.length);
  });
  const layers = texts.map((_, index) => hiddenStateName(model, index === 0 ? clipSkip : 0));
  const pooledName = "text_embeds";
  const projects = model.outputs.includes(pooledName);
  const results = await model.run({ input_ids: { data, dims: [rows.length * chunks, tokenizer.maxLength] } }, [
    ...new Set(projects ? [...layers, pooledName] : layers),
  ]);
  return layers.map((layer, index) => {
    const { data: hidden, dims } = sliceBatch(required(results[layer]), index * chunks, chunks);
    return {
      hidden: { data: hidden, dims: [1, chunks * (dims[1] ?? 0), dims[2] ?? 0] },
      pooled: projects ? sliceBatch(required(results[pooledName]), index * chunks, 1) : undefined,
    };
  });
}

/** Output name of the hidden states before the last layer, `clipSkip` layers further down. */
function hiddenStateName(model: Component, clipSkip: number): string {
  const states = model.outputs.filter((name) => name.startsWith("hidden_states.")).length;
  if (states === 0) throw modelInvalid(model.path, "there are no hidden_states outputs; export it with hidden states");
  const layer = states - 2 - clipSkip;
  if (layer < 0) throw invalidJob(`clip_skip must be at most ${states - 2} for this model, not ${clipSkip}`);
  return `hidden_states.${layer}`;
}

function joinEncoders(first: EncodedText | undefined, second: EncodedText | undefined): TextEmbeddings {
  const { hidden, pooled } = required(second);
  return { hidden: concat([required(first).hidden, hidden], 2), pooled: required(pooled) };
}

function zerosLike({ hidden, pooled }: TextEmbeddings): TextEmbeddings {
  return { hidden: zeros(hidden.dims), pooled: zeros(pooled.dims) };
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new RangeError("a text embedding is missing");
  return value;
}
