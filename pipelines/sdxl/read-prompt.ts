import type { PromptReading } from "#pipelines/text/prompt-reading.ts";
import type { PromptTexts } from "./read-weights.ts";

/**
 * What an SDXL model makes of prompts; see {@link import("./count-tokens.ts").countSdxlTokens}. Importing this module loads
 * no tokenizer: that happens when a prompt is read.
 */
export async function readSdxlPrompt(texts: PromptTexts, modelFolder: string): Promise<PromptReading> {
  const { countSdxlTokens } = await import("./count-tokens.ts");
  return countSdxlTokens(texts, modelFolder);
}
