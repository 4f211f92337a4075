import type { ClipTokenizer } from "../clip-tokenizer.ts";
import type { Fragments } from "./weighted-prompt.ts";

/** Marks after which a long prompt is split, the best first; where there are none it is split after a word. */
const splitMarks: readonly (readonly string[])[] = [[".</w>"], [".</w>", ",</w>", ";</w>", ":</w>"]];
const wordEnd = "</w>";

/** A prompt laid out for a text encoder. */
export interface WeightedChunks {
  readonly count: number;
  /** `count × maxLength` ids. */
  readonly ids: Int32Array;
  /** A weight for each of them. */
  readonly weights: Float32Array;
  /** Where each fragment with a weight below 1 stands: positions in `ids`, both included. */
  readonly lowered: readonly { readonly from: number; readonly to: number; readonly weight: number }[];
  /** Without begin and end tokens. */
  readonly tokenCount: number;
}

/**
 * Tokens of weighted text in chunks, as Compel makes them when it does not truncate: begin, up to `maxLength` − 2 tokens,
 * end, padding. What is too long for one chunk is split after the last full stop that fits, else after a comma, semicolon
 * or colon, else after a word.
 */
export function chunkFragments(fragments: Fragments, tokenizer: ClipTokenizer): WeightedChunks {
  const tokens = fragments.map(({ text }) => tokenizer.encode(text));
  const all = tokens.flat();
  const tokenWeights = fragments.flatMap(({ weight }, index) => (tokens[index] ?? []).map(() => weight));
  const sizes = splitSizes(all, tokenizer);
  const { beginId, endId, padId, maxLength } = tokenizer;
  const ids = new Int32Array(sizes.length * maxLength).fill(padId);
  const weights = new Float32Array(ids.length).fill(1);
  const places: number[] = [];
  let from = 0;
  for (const [chunk, size] of sizes.entries()) {
    const start = chunk * maxLength;
    ids.set([beginId, ...all.slice(from, from + size), endId], start);
    weights.set(tokenWeights.slice(from, from + size), start + 1);
    for (let index = 0; index < size; index++) places.push(start + 1 + index);
    from += size;
  }
  return { count: sizes.length, ids, weights, lowered: loweredRuns(fragments, tokens, places), tokenCount: all.length };
}

function loweredRuns(fragments: Fragments, tokens: readonly (readonly number[])[], places: readonly number[]) {
  const runs: { from: number; to: number; weight: number }[] = [];
  let first = 0;
  for (const [index, { weight }] of fragments.entries()) {
    const length = tokens[index]?.length ?? 0;
    const [from, to] = [places[first], places[first + length - 1]];
    if (weight < 1 && length > 0 && from !== undefined && to !== undefined) runs.push({ from, to, weight });
    first += length;
  }
  return runs;
}

/** How many tokens each chunk takes; an empty text has one chunk of none. */
function splitSizes(tokens: readonly number[], tokenizer: ClipTokenizer): number[] {
  const room = tokenizer.maxLength - 2;
  const sizes: number[] = [];
  let from = 0;
  while (tokens.length - from > room) {
    const size = splitPoint(tokens.slice(from, from + room).map((id) => tokenizer.tokenOf(id)));
    sizes.push(size);
    from += size;
  }
  return [...sizes, tokens.length - from].filter((size, index) => size > 0 || index === 0);
}

function splitPoint(tokens: readonly string[]): number {
  for (const marks of splitMarks) {
    const last = tokens.findLastIndex((token) => marks.includes(token));
    if (last >= 0) return last + 1;
  }
  const last = tokens.findLastIndex((token) => token.endsWith(wordEnd));
  return last >= 0 ? last + 1 : tokens.length;
}
