import { modelInvalid } from "#pipelines/core/errors.ts";
import { concat, sliceBatch, type Tensor, zeros } from "#pipelines/core/tensor.ts";
import { chunkTokens, countChunks } from "#pipelines/text/chunks.ts";
import type { WeightedPrompt } from "#pipelines/text/weights/weighted-prompt.ts";
import type { WeightedPair } from "./read-weights.ts";
import type { TextEncoder } from "./text-encoder.ts";
import { encodeWeighted, padChunks, type WeightedStates } from "./weighted-encoder.ts";

export interface PromptRequest {
  readonly prompt: string;
  /** Absent is not the same as empty: see `forceZerosForEmptyPrompt`. */
  readonly negativePrompt?: string | undefined;
  /** Both prompts as they are to be read instead; plain text when left out. */
  readonly weighted?: WeightedPair | undefined;
  /** Whether the negative embeddings are needed at all. */
  readonly guided: boolean;
  /** Layers to skip beyond the last, which SDXL always skips. Like diffusers, for the positive prompt only. */
  readonly clipSkip?: number | undefined;
}

/** What the UNet is conditioned on: `[1, chunks · 77, width of all encoders]` and the pooled `[1, projection]`. */
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

/** In the order in which their states lie side by side; the last one projects. */
type Encoders = readonly TextEncoder[];

/** One text by all encoders. */
interface EncodedText {
  readonly embeddings: TextEmbeddings;
  readonly tokenCount: number;
}

/**
 * Encodes prompt and negative prompt with the encoders of an expert: the hidden states before the last layer, side by side, and
 * the projected output of the last (`encode_prompt` of diffusers' `StableDiffusionXLPipeline`; with weights, compel's
 * `CompelForSDXL`). Prompts of more than 75 tokens are encoded in chunks and laid end to end; the pooled output is that of
 * the first chunk, as compel takes it.
 * @throws PipelineError INVALID_JOB when clip skip leaves no layer; UNSUPPORTED_OPTION when the model cannot lower weights;
 *   MODEL_INVALID when an encoder puts out no hidden states, or the last one no projection
 */
export async function encodePrompt(
  encoders: Encoders,
  forceZerosForEmptyPrompt: boolean,
  request: PromptRequest,
): Promise<PromptEmbeddings> {
  const isAbsent = request.negativePrompt === undefined;
  const encodesNegative = request.guided && !(isAbsent && forceZerosForEmptyPrompt);
  const texts = encodesNegative ? [request.prompt, request.negativePrompt ?? ""] : [request.prompt];
  const [positive, negative] = await (request.weighted === undefined
    ? encodePlain(encoders, texts, request.clipSkip ?? 0)
    : encodePair(encoders, request.weighted, encodesNegative, request.clipSkip ?? 0));
  if (positive === undefined) throw new RangeError("a text embedding is missing");
  const { embeddings } = positive;
  return {
    positive: embeddings,
    negative: request.guided ? (negative?.embeddings ?? zerosLike(embeddings)) : undefined,
    promptTokens: positive.tokenCount,
    negativePromptTokens: negative?.tokenCount ?? 0,
    chunks: (embeddings.hidden.dims[1] ?? 0) / (encoders[0]?.tokenizer.maxLength ?? 1),
  };
}

/** Both prompts run through each encoder together. The first text is the prompt, a second the negative prompt. */
async function encodePlain(encoders: Encoders, texts: readonly string[], clipSkip: number): Promise<EncodedText[]> {
  const tokens = encoders.map(({ tokenizer }) => texts.map((text) => tokenizer.encode(text)));
  const chunks = Math.max(
    ...encoders.flatMap(({ tokenizer }, index) =>
      (tokens[index] ?? []).map((ids) => countChunks(ids.length, tokenizer.maxLength)),
    ),
  );
  const states: EncoderStates[][] = [];
  for (const [index, encoder] of encoders.entries()) {
    states.push(await encodeTexts(encoder, tokens[index] ?? [], chunks, clipSkip));
  }
  return texts.map((_, text) => ({
    embeddings: joinEncoders(
      encoders,
      states.flatMap((perText) => perText[text] ?? []),
    ),
    tokenCount: Math.max(...tokens.map((perText) => perText[text]?.length ?? 0)),
  }));
}

async function encodePair(
  encoders: Encoders,
  { positive, negative }: WeightedPair,
  encodesNegative: boolean,
  clipSkip: number,
): Promise<EncodedText[]> {
  const emptyPrompt: WeightedPrompt = { parts: [{ kind: "prompt", fragments: [], weight: 1 }], compelText: "" };
  const prompts = encodesNegative ? [positive, negative ?? emptyPrompt] : [positive];
  const perText: WeightedStates[][] = [];
  for (const [index, prompt] of prompts.entries()) {
    const skipped = index === 0 ? clipSkip : 0;
    const states: WeightedStates[] = [];
    for (const encoder of encoders) states.push(await encodeWeighted(encoder, prompt, skipped));
    perText.push(states);
  }
  const chunks = Math.max(...perText.flat().map(({ hidden }) => hidden.dims[0] ?? 0));
  return perText.map((states) => {
    const padded = states.map(({ hidden, empty, pooled }) => ({
      hidden: endToEnd(padChunks(hidden, empty, chunks)),
      pooled,
    }));
    const tokenCount = Math.max(...states.map((each) => each.tokenCount));
    return { embeddings: joinEncoders(encoders, padded), tokenCount };
  });
}

interface EncoderStates {
  /** `[1, chunks · maxLength, hidden size]` */
  readonly hidden: Tensor;
  /** `[1, projection]`, from an encoder that projects. */
  readonly pooled: Tensor | undefined;
}

/** Runs one encoder on the chunks of all texts at once, or of each by itself where they end at different layers. */
async function encodeTexts(
  encoder: TextEncoder,
  texts: readonly (readonly number[])[],
  chunks: number,
  clipSkip: number,
): Promise<EncoderStates[]> {
  const { tokenizer } = encoder;
  const run = async (some: readonly (readonly number[])[], skipped: number): Promise<EncoderStates[]> => {
    const data = Int32Array.from(some.flatMap((tokens) => [...chunkTokens(tokens, tokenizer, chunks).data]));
    const dims = [some.length * chunks, tokenizer.maxLength];
    const { hidden, pooled } = await encoder.encode({ data, dims }, skipped);
    return some.map((_, index) => ({
      hidden: endToEnd(sliceBatch(hidden, index * chunks, chunks)),
      pooled: pooled && sliceBatch(pooled, index * chunks, 1),
    }));
  };
  if (clipSkip === 0) return run(texts, 0);
  return [...(await run(texts.slice(0, 1), clipSkip)), ...(texts.length > 1 ? await run(texts.slice(1), 0) : [])];
}

/** Chunks of a batch as one long text. */
function endToEnd({ data, dims: [chunks = 0, length = 0, width = 0] }: Tensor): Tensor {
  return { data, dims: [1, chunks * length, width] };
}

/** @throws PipelineError MODEL_INVALID when the last encoder does not project */
function joinEncoders(encoders: Encoders, states: readonly EncoderStates[]): TextEmbeddings {
  const pooled = states.at(-1)?.pooled;
  if (pooled === undefined) {
    throw modelInvalid(
      encoders.at(-1)?.file ?? "the text encoders",
      "there is no text_embeds output; export it as CLIPTextModelWithProjection",
    );
  }
  return {
    hidden: concat(
      states.map(({ hidden }) => hidden),
      2,
    ),
    pooled,
  };
}

function zerosLike({ hidden, pooled }: TextEmbeddings): TextEmbeddings {
  return { hidden: zeros(hidden.dims), pooled: zeros(pooled.dims) };
}
