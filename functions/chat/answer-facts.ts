import { z } from "zod";
import type { JobOutput } from "#contract/handler.ts";
import { sessionFacts, textFacts } from "../api/schemas/text-answer.ts";

const facts = textFacts
  .pick({ model: true, generation_time: true, prompt_tokens: true, tokens_generated: true, finish_reason: true })
  .extend({ dropped_turns: z.int().min(0), ...sessionFacts });

/** What the handler of chat reports of an answer. */
export function answerFacts({ metadata }: JobOutput): z.output<typeof facts> {
  return facts.parse(metadata);
}
