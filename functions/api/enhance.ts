import { z } from "zod";
import { enhanceRequest } from "#contract/chat.ts";
import { declareRoute } from "./declare.ts";
import { sessionFacts, textErrors, textFacts, textHeaders } from "./schemas/text-answer.ts";

export const enhanceAnswer = textFacts
  .partial({ model: true, generation_time: true, prompt_tokens: true, tokens_generated: true, finish_reason: true })
  .extend({
    enhanced_prompt: z.string(),
    original_prompt: z.string(),
    /** `chat`: by instruction, within a session. `original`: nothing better was made of it; `fallback_reason` says why. */
    enhancement_source: z.enum(["chat", "instruct", "base", "original"]),
    preset: z.string().optional(),
    target_model: z.string().optional(),
    /** Tokens of the target's own tokenizer, where a model of it is here. */
    enhanced_prompt_tokens: z.int().min(0).optional(),
    fallback_reason: z.string().optional(),
    ...sessionFacts,
  })
  .meta({ id: "EnhanceAnswer" });

export type EnhanceAnswer = z.output<typeof enhanceAnswer>;

const description =
  "Goes before the jobs on the queue of the worker chat, one request at a time. `success` is true when the prompt is another one and not empty.";

const shared = {
  method: "POST",
  access: "key",
  body: enhanceRequest,
  headers: textHeaders,
  responses: { 200: enhanceAnswer },
  errors: textErrors,
} as const;

export const enhance = declareRoute({
  ...shared,
  path: "/enhance",
  summary: "Make a fuller prompt: by instruction, else by examples, else the prompt as it is",
  description: `${description} What the model cannot do is no error: \`enhancement_source\` says what was taken.`,
});

export const enhanceInstruct = declareRoute({
  ...shared,
  path: "/enhance/instruct",
  summary: "Make a fuller prompt by a model that follows instructions",
  description,
});

export const enhanceBase = declareRoute({
  ...shared,
  path: "/enhance/base",
  summary: "Make a fuller prompt by a model that goes on with examples",
  description,
});
