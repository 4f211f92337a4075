import { parsePrompt } from "./parse-prompt.ts";
import { quote, WeightError } from "./weight-error.ts";
import { fragmentsOf, type WeightedPrompt } from "./weighted-prompt.ts";

export const maxTerms = 6;

const ordinals = ["first", "second", "third", "fourth", "fifth", "sixth"];

/**
 * Reads a comma-separated list of terms, in either syntax: `(lighthouse:1.3), sea++, (old harbour)0.8`. Of terms that say
 * the same but for case and space, the first stays.
 * @throws WeightError
 */
export function parseTerms(list: string): WeightedPrompt[] {
  const terms = new Map<string, WeightedPrompt>();
  for (const [index, written] of splitAtCommas(list).entries()) {
    if (written === "") {
      throw new WeightError("syntax", `the ${ordinals[index] ?? `${index + 1}th`} term of the list is empty`);
    }
    const term = parsePrompt(written);
    const key = fragmentsOf(term)
      .map(({ text }) => text)
      .join("")
      .replace(/\s/g, "")
      .toLowerCase();
    if (key === "") throw new WeightError("syntax", `the term ${quote(written)} has no text`);
    if (!terms.has(key)) terms.set(key, term);
  }
  if (terms.size > maxTerms) {
    throw new WeightError("limit", `there are ${terms.size} terms; at most ${maxTerms} are allowed`);
  }
  return [...terms.values()];
}

/** Commas within brackets and quotes, and those after a backslash, are part of a term. */
function splitAtCommas(list: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let isQuoted = false;
  let from = 0;
  for (let position = 0; position < list.length; position++) {
    const letter = list[position];
    if (letter === "\\") position++;
    else if (letter === '"') isQuoted = !isQuoted;
    else if (letter === "(") depth++;
    else if (letter === ")") depth--;
    else if (letter === "," && depth <= 0 && !isQuoted) {
      terms.push(list.slice(from, position).trim());
      from = position + 1;
    }
  }
  terms.push(list.slice(from).trim());
  return terms;
}
