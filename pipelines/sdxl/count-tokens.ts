import { join } from "node:path";
import { countChunks } from "#pipelines/text/chunks.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { maxListedTokens, type PromptReading, type ReadText } from "#pipelines/text/prompt-reading.ts";
import { chunkFragments } from "#pipelines/text/weights/weighted-chunks.ts";
import { type Fragments, fragmentsOf, type WeightedPrompt } from "#pipelines/text/weights/weighted-prompt.ts";
import { readModelFolder } from "./model-folder.ts";
import { type PromptTexts, readWeights } from "./read-weights.ts";

/** By the folders of their encoders; the first one's ids are listed. */
type Tokenizers = ReadonlyMap<string, ClipTokenizer>;

/**
 * What an SDXL model makes of prompts. Reads its configs and tokenizers and none of its weights.
 * @throws PipelineError INVALID_JOB when weights ask for more than is allowed; MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function countSdxlTokens(texts: PromptTexts, modelFolder: string): Promise<PromptReading> {
  const enhancement = readWeights(texts);
  const model = await readModelFolder(modelFolder);
  const tokenizers = new Map<string, ClipTokenizer>();
  for (const { encoder, tokenizer } of model.base.textEncoders) {
    tokenizers.set(encoder, await ClipTokenizer.load(join(modelFolder, tokenizer)));
  }
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
      prompt_embeds: [1, chunks * first(tokenizers).maxLength, model.base.textWidth],
      pooled_prompt_embeds: [1, model.base.pooledWidth],
    },
  };
}

type Sizes = Pick<ReadText, "fragments" | "encoders" | "tokens" | "chunks">;

function readPlain(text: string, tokenizers: Tokenizers): Sizes {
  const read = [...tokenizers].map(([name, tokenizer]) => {
    const ids = tokenizer.encode(text);
    return { name, ids, chunks: countChunks(ids.length, tokenizer.maxLength) };
  });
  return {
    fragments: [{ text, weight: 1 }],
    encoders: read.map(({ name, ids }) => ({ name, tokens: ids.length })),
    tokens: listed(
      first(tokenizers),
      (read[0]?.ids ?? []).map((id) => ({ id, weight: 1 })),
    ),
    chunks: Math.max(...read.map(({ chunks }) => chunks)),
  };
}

function readWeighted(prompt: WeightedPrompt, tokenizers: Tokenizers): Sizes {
  // Prompts of a blend lie over each other, so that the longest counts; parts lie end to end.
  const sums = [...tokenizers].map(([name, tokenizer]) => {
    const parts = prompt.parts.map((part) => {
      const prompts: readonly Fragments[] =
        part.kind === "prompt" ? [part.fragments] : part.prompts.map(({ fragments }) => fragments);
      const laidOut = prompts.map((fragments) => chunkFragments(fragments, tokenizer));
      return {
        tokens: Math.max(...laidOut.map(({ tokenCount }) => tokenCount)),
        chunks: Math.max(...laidOut.map(({ count }) => count)),
      };
    });
    return {
      name,
      tokens: parts.reduce((sum, { tokens }) => sum + tokens, 0),
      chunks: parts.reduce((sum, { chunks }) => sum + chunks, 0),
    };
  });
  const fragments = fragmentsOf(prompt);
  const tokenizer = first(tokenizers);
  return {
    fragments,
    encoders: sums.map(({ name, tokens }) => ({ name, tokens })),
    tokens: listed(
      tokenizer,
      fragments.flatMap(({ text, weight }) => tokenizer.encode(text).map((id) => ({ id, weight }))),
    ),
    chunks: Math.max(...sums.map(({ chunks }) => chunks)),
  };
}

function first(tokenizers: Tokenizers): ClipTokenizer {
  const [tokenizer] = tokenizers.values();
  if (tokenizer === undefined) throw new RangeError("a model without tokenizers");
  return tokenizer;
}

function listed(tokenizer: ClipTokenizer, ids: readonly { id: number; weight: number }[]): ReadText["tokens"] {
  return ids.slice(0, maxListedTokens).map(({ id, weight }) => ({ text: tokenizer.tokenOf(id), weight }));
}
