import { withoutTrailing } from "./trailing.ts";

/*
 * Prompts within a number of the target's own tokens. A language model does not know how its words count there: it is asked
 * to be brief, and what is too long all the same ends at a clause.
 */

/** Tokens of a text in the target's tokenizer, begin and end left out. */
export type CountTokens = (text: string) => number;

export interface FittedPrompt {
  readonly text: string;
  /** Tokens of `text`. */
  readonly tokens: number;
  /** Tokens that were cut off; 0 where the whole prompt fits. */
  readonly cutTokens: number;
}

/** Where a sentence, a clause and a word end, the end left out; none within brackets. */
const borders = [/[.!?…](?=\s)/g, /\s*(?:[,;:](?=\s)|\s[–—-](?=\s))/g, /(?=\s)/g] as const;

/**
 * The longest beginning of a prompt that ends at a clause and has at most `limit` tokens: of one whose first clause is too
 * long, words, within brackets too if need be; of a word that is too long, its first characters.
 *
 * @throws RangeError for a limit below 1
 */
export function fitTokens(prompt: string, limit: number, count: CountTokens): FittedPrompt {
  if (!(limit >= 1)) throw new RangeError(`a limit of ${limit} tokens: must be at least 1`);
  const whole = prompt.trim();
  const tokens = count(whole);
  if (tokens <= limit) return { text: whole, tokens, cutTokens: 0 };
  const [sentences, clauses, words] = borders.map((border) => endsAt(whole, border));
  // A sentence's end counts as a clause's, and goes with its full stop.
  const ends = [...(clauses ?? []), ...(sentences ?? []).map((end) => end + 1)].toSorted((a, b) => a - b);
  const text =
    longest(whole, ends, limit, count) ||
    longest(whole, words ?? [], limit, count) ||
    longest(
      whole,
      [...whole.matchAll(/(?=\s)/g)].map((space) => space.index),
      limit,
      count,
    ) ||
    longest(whole, charactersOf(whole), limit, count);
  const kept = count(text);
  return { text, tokens: kept, cutTokens: tokens - kept };
}

/** The longest beginning that ends at one of these and fits; "" where none does. */
function longest(text: string, ends: readonly number[], limit: number, count: CountTokens): string {
  const fits = (end: number) => count(beginning(text, end)) <= limit;
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(ends[middle] ?? 0)) low = middle + 1;
    else high = middle;
  }
  // Counts nearly always grow with the text; where one does not, the search may have gone past.
  for (let index = low - 1; index >= 0; index -= 1) {
    const end = ends[index] ?? 0;
    if (fits(end)) return beginning(text, end);
  }
  return "";
}

function beginning(text: string, end: number): string {
  return withoutTrailing(text.slice(0, end));
}

function endsAt(text: string, border: RegExp): number[] {
  const open = openBrackets(text);
  return [...text.matchAll(border)].map((found) => found.index).filter((at) => at > 0 && open[at] === 0);
}

/** For each place in the text how many brackets are open before it; one that is never closed counts as a character. */
function openBrackets(text: string): number[] {
  const closers: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
  const depths: number[] = [];
  const waiting: string[] = [];
  for (let at = 0; at < text.length; at += 1) {
    depths.push(waiting.length);
    const character = text.charAt(at);
    const closer = closers[character];
    if (closer !== undefined && text.indexOf(closer, at) > 0) waiting.push(closer);
    else if (character === waiting.at(-1)) waiting.pop();
  }
  return depths;
}

/** Where each character ends, as a reader counts them. */
function charactersOf(text: string): number[] {
  const ends: number[] = [];
  for (const { index, segment } of new Intl.Segmenter("en").segment(text)) ends.push(index + segment.length);
  return ends;
}
