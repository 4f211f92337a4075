import { join } from "node:path";
import { cleanPrompt } from "#pipelines/text/clean-prompt.ts";
import type { PlainTexts, PromptReading, ReadText } from "#pipelines/text/prompt-reading.ts";
import { T5Tokenizer } from "#pipelines/text/t5-tokenizer.ts";
import { maxPromptTokens } from "./prompt-encoder.ts";

/**
 * What a WAN model makes of prompts. It has one text encoder, reads 512 tokens with the end mark, and knows no weights.
 * @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID
 */
export async function countWanTokens(texts: PlainTexts, modelFolder: string): Promise<PromptReading> {
  const tokenizer = await T5Tokenizer.load(join(modelFolder, "tokenizer"));
  const read = (["prompt", "negative_prompt"] as const).flatMap((field): ReadText[] => {
    const text = texts[field];
    if (text === undefined) return [];
    const { length, cutTokens } = tokenizer.encode(cleanPrompt(text), maxPromptTokens);
    // The end mark is no token of the prompt.
    const tokens = length - 1 + cutTokens;
    return [
      {
        field,
        fragments: [{ text, weight: 1 }],
        encoders: [{ name: "text_encoder", tokens }],
        tokens: [],
        chunks: 1,
        max_tokens: maxPromptTokens - 1,
        cut_tokens: cutTokens,
      },
    ];
  });
  return { enhancement_strategy: "none", texts: read, embeddings: {} };
}
