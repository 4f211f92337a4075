import { parsePrompt } from "./parse-prompt.ts";
import { WeightError } from "./weight-error.ts";
import { parseTerms } from "./weight-terms.ts";
import { fragmentsOf, type WeightedPrompt } from "./weighted-prompt.ts";

/** Each run of a weight below 1 costs another run of both text encoders. */
const maxWeightedFragments = 32;

/**
 * A prompt with a list of weighted terms: plain terms are appended to it. Where it, or a term, is made of several prompts
 * (`.and()`, `.blend()`), the rest stands beside it as `.and()` would set it.
 * @param terms comma-separated; blank when there are none
 * @throws WeightError
 */
export function parseWeightedPrompt(prompt: string, terms = ""): WeightedPrompt {
  const weighted = terms.trim() === "" ? parsePrompt(prompt) : withTerms(prompt, parseTerms(terms));
  const count = fragmentsOf(weighted).filter(({ weight }) => weight !== 1).length;
  if (count <= maxWeightedFragments) return weighted;
  throw new WeightError("limit", `${count} runs of text have weights; at most ${maxWeightedFragments} are allowed`);
}

function withTerms(prompt: string, terms: readonly WeightedPrompt[]): WeightedPrompt {
  const isStructured = ({ parts }: WeightedPrompt) => parts.length > 1 || parts[0]?.kind === "blend";
  const plain = terms.filter((term) => !isStructured(term)).map(({ compelText }) => compelText.trim());
  const own = prompt.trim() === "" ? null : parsePrompt(prompt);
  const structured = terms.filter(isStructured);
  const whole = join([own?.compelText ?? "", ...terms.map(({ compelText }) => compelText)]);
  const first =
    own !== null && isStructured(own)
      ? [...own.parts, ...(plain.length === 0 ? [] : parsePrompt(join(plain)).parts)]
      : partsOf(join([own?.compelText ?? "", ...plain]));
  return { parts: [...first, ...structured.flatMap(({ parts }) => parts)], compelText: whole };
}

function partsOf(text: string) {
  return text === "" ? [] : parsePrompt(text).parts;
}

/** With one comma between two neighbours, whichever of them brings it. */
function join(texts: readonly string[]): string {
  return texts
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .reduce((joined, text) => (joined === "" ? text : `${joined}${joined.endsWith(",") ? "" : ","} ${text}`), "");
}
