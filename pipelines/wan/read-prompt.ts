import type { PlainTexts, PromptReading } from "#pipelines/text/prompt-reading.ts";

/**
 * What a WAN model makes of prompts; see {@link import("./count-tokens.ts").countWanTokens}. Importing this module loads no
 * tokenizer: that happens when a prompt is read.
 */
export async function readWanPrompt(texts: PlainTexts, modelFolder: string): Promise<PromptReading> {
  const { countWanTokens } = await import("./count-tokens.ts");
  return countWanTokens(texts, modelFolder);
}
