import { z } from "zod";
import { hasNoNul, maxPromptCharacters, noNul, optionalText } from "./fields.ts";

/** What a job says of its prompts. */
export const promptTexts = z.object({
  prompt: z
    .string("must be a text")
    .max(maxPromptCharacters, "must be at most 8,000 characters")
    .refine(hasNoNul, noNul),
  negative_prompt: optionalText(maxPromptCharacters),
  compel_enabled: z.boolean("must be true or false").optional(),
  compel_weights: optionalText(maxPromptCharacters),
});

export type PromptTexts = z.output<typeof promptTexts>;

const count = z.int().min(0);

/** One prompt as the model's text encoders get it. */
const readText = z.object({
  field: z.enum(["prompt", "negative_prompt"]),
  /** Runs of text with their weights; one with the weight 1 where there are none. */
  fragments: z.array(z.object({ text: z.string(), weight: z.number() })),
  /** Tokens by text encoder, begin and end left out. */
  encoders: z.array(z.object({ name: z.string(), tokens: count })),
  /** The first tokens of the first encoder, as its vocabulary writes them, each with its weight. */
  tokens: z.array(z.object({ text: z.string(), weight: z.number() })),
  /** Parts in which the prompt is encoded. */
  chunks: count,
  /** How many tokens the model reads; null: any number. */
  max_tokens: z.int().min(1).nullable(),
  /** Tokens beyond that, which it does not read. */
  cut_tokens: count,
});

/** What a model makes of a job's prompts before anything is computed. */
export const promptReading = z.object({
  enhancement_strategy: z.enum(["compel", "fallback", "none"]),
  /** Why weights cannot be read. */
  fallback_reason: z.string().optional(),
  texts: z.array(readText),
  /** Shapes of what the encoders make of it. */
  embeddings: z.record(z.string(), z.array(z.int())),
});

export type PromptReading = z.output<typeof promptReading>;
