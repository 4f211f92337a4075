import { join } from "node:path";
import { countChunks } from "#pipelines/text/chunks.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { maxListedTokens, type PromptReading, type ReadText } from "#pipelines/text/prompt-reading.ts";
import { chunkFragments } from "#pipelines/text/weights/weighted-chunks.ts";
import { type Fragments, fragmentsOf, type WeightedPrompt } from "#pipelines/text/weights/weighted-prompt.ts";
import { readModelFolder } from "./model-folder.ts";
import { type PromptTexts, readWeights } from "./read-weights.ts";

const encoderNames = ["text_encoder", "text_encoder_2"] as const;
type Tokenizers = readonly [ClipTokenizer, ClipTokenizer];

/**
 * What an SDXL model makes of prompts. Reads its configs and tokenizers and none of its weights.
 * @throws PipelineError INVALID_JOB when weights ask for more than is allowed; MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function countSdxlTokens(texts: PromptTexts, modelFolder: string): Promise<PromptReading> {
  const enhancement = readWeights(texts);
  const model = await readModelFolder(modelFolder);
  const tokenizers = [
    await ClipTokenizer.load(join(modelFolder, "tokenizer")),
    await ClipTokenizer.load(join(modelFolder, "tokenizer_2")),
  ] as const;
  const weighted = enhancement.strategy === "compel" ? enhancement.prompts : undefined;
  const fields = [
    { field: "prompt", text: texts.prompt, weighted: weighted?.positive },
    { field: "negative_prompt", text: texts.negative_prompt, weighted: weighted?.negative },
  ] as const;
  const read = fields.flatMap(({ field, text, weighted: prompt }): ReadText[] => {
    if (text === undefined) return [];
    const sizes = prompt === undefined ? readPlain(text, tokenizers) : readWeighted(prompt, tokenizers);
    return [{ field, ...sizes, max_tokens: null, cut_tokens: 0 }];
  });
  const chunks = Math.max(...read.map((each) => each.chunks));
  return {
    enhancement_strategy: enhancement.strategy,
    ...(enhancement.strategy === "fallback" ? { fallback_reason: enhancement.reason } : {}),
    texts: read,
    embeddings: {
      prompt_embeds: [1, chunks * tokenizers[0].maxLength, model.textWidth],
      pooled_prompt_embeds: [1, model.pooledWidth],
    },
  };
}

type Sizes = Pick<ReadText, "fragments" | "encoders" | "tokens" | "chunks">;

function readPlain(text: string, tokenizers: Tokenizers): Sizes {
  const ids = tokenizers.map((tokenizer) => tokenizer.encode(text));
  return {
    fragments: [{ text, weight: 1 }],
    encoders: countsOf(ids.map(({ length }) => length)),
    tokens: listed(
      tokenizers[0],
      (ids[0] ?? []).map((id) => ({ id, weight: 1 })),
    ),
    chunks: Math.max(...ids.map(({ length }, index) => countChunks(length, tokenizers[index]?.maxLength ?? 0))),
  };
}

function readWeighted(prompt: WeightedPrompt, tokenizers: Tokenizers): Sizes {
  // Prompts of a blend lie over each other, so that the longest counts; parts lie end to end.
  const perEncoder = tokenizers.map((tokenizer) =>
    prompt.parts.map((part) => {
      const prompts: readonly Fragments[] =
        part.kind === "prompt" ? [part.fragments] : part.prompts.map(({ fragments }) => fragments);
      const laidOut = prompts.map((fragments) => chunkFragments(fragments, tokenizer));
      return {
        tokens: Math.max(...laidOut.map(({ tokenCount }) => tokenCount)),
        chunks: Math.max(...laidOut.map(({ count }) => count)),
      };
    }),
  );
  const sums = perEncoder.map((parts) => ({
    tokens: parts.reduce((sum, { tokens }) => sum + tokens, 0),
    chunks: parts.reduce((sum, { chunks }) => sum + chunks, 0),
  }));
  const fragments = fragmentsOf(prompt);
  const [tokenizer] = tokenizers;
  return {
    fragments,
    encoders: countsOf(sums.map(({ tokens }) => tokens)),
    tokens: listed(
      tokenizer,
      fragments.flatMap(({ text, weight }) => tokenizer.encode(text).map((id) => ({ id, weight }))),
    ),
    chunks: Math.max(...sums.map(({ chunks }) => chunks)),
  };
}

function countsOf(counts: readonly number[]): ReadText["encoders"] {
  return encoderNames.map((name, index) => ({ name, tokens: counts[index] ?? 0 }));
}

function listed(tokenizer: ClipTokenizer, ids: readonly { id: number; weight: number }[]): ReadText["tokens"] {
  return ids.slice(0, maxListedTokens).map(({ id, weight }) => ({ text: tokenizer.tokenOf(id), weight }));
}
