import { decodeHTML } from "entities";

/** White space as Python's `regex` reads `\s`. JavaScript's `\s` has U+FEFF besides, and lacks U+0085. */
const whiteSpace = /\p{White_Space}+/gu;

/**
 * A prompt as video models were trained on it: HTML entities decoded, twice since some were escaped twice, and white
 * space made single blanks (`prompt_clean` of diffusers' `WanPipeline` where the package ftfy is not installed).
 */
export function cleanPrompt(prompt: string): string {
  return decodeHTML(decodeHTML(prompt)).replace(whiteSpace, " ").replace(/^ | $/g, "");
}
