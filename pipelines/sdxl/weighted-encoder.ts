import { concat, sliceBatch, type Tensor } from "#pipelines/core/tensor.ts";
import { chunkTokens } from "#pipelines/text/chunks.ts";
import { chunkFragments, type WeightedChunks } from "#pipelines/text/weights/weighted-chunks.ts";
import type { Fragments, PromptPart, WeightedPrompt } from "#pipelines/text/weights/weighted-prompt.ts";
import type { TextEncoder } from "./text-encoder.ts";

/** Below it a weight's share would be infinite. */
const smallestWeight = 1e-5;

export interface WeightedStates {
  /** `[chunks, length, width]` */
  readonly hidden: Tensor;
  /** `[1, projection]`, from an encoder that projects. */
  readonly pooled: Tensor | undefined;
  /** An empty text, to fill up with: `[1, length, width]`. */
  readonly empty: Tensor;
  /** Of all parts that are laid end to end; of a blend, its longest prompt's. */
  readonly tokenCount: number;
}

/**
 * One text encoder's states of a weighted prompt, as Compel 2 computes them (`CompelForSDXL`): a weight moves the states of
 * its tokens away from those of an empty text or towards them, and a weight below 1 blends in, besides, the states of the
 * prompt in which nothing attends to those tokens.
 * @param clipSkip layers left out beyond the last
 */
export async function encodeWeighted(
  encoder: TextEncoder,
  { parts, compelText }: WeightedPrompt,
  clipSkip: number,
): Promise<WeightedStates> {
  const { tokenizer } = encoder;
  // The pooled output has no weights: it is that of the text as it was written, and of what fits into one chunk.
  const written = tokenizer.encode(compelText).slice(0, tokenizer.maxLength - 2);
  const rows = [chunkTokens([], tokenizer, 1), chunkTokens(written, tokenizer, 1)].flatMap(({ data }) => [...data]);
  const dims = [2, tokenizer.maxLength];
  const { hidden, pooled } = await encoder.encode({ data: Int32Array.from(rows), dims }, clipSkip);
  const empty = sliceBatch(hidden, 0, 1);

  const states: Tensor[] = [];
  let tokenCount = 0;
  for (const part of parts) {
    const one = await new PartEncoder(encoder, clipSkip, empty).encode(part);
    states.push(one.hidden);
    tokenCount += one.tokenCount;
  }
  return { hidden: concat(states, 0), pooled: pooled && sliceBatch(pooled, 1, 1), empty, tokenCount };
}

/** Fills up with empty texts to a number of chunks. */
export function padChunks(hidden: Tensor, empty: Tensor, chunks: number): Tensor {
  const missing = chunks - (hidden.dims[0] ?? 0);
  return missing <= 0 ? hidden : concat([hidden, ...Array.from({ length: missing }, () => empty)], 0);
}

interface PartStates {
  readonly hidden: Tensor;
  readonly tokenCount: number;
}

class PartEncoder {
  readonly #encoder: TextEncoder;
  readonly #clipSkip: number;
  readonly #empty: Tensor;

  constructor(encoder: TextEncoder, clipSkip: number, empty: Tensor) {
    this.#encoder = encoder;
    this.#clipSkip = clipSkip;
    this.#empty = empty;
  }

  async encode(part: PromptPart): Promise<PartStates> {
    const { hidden, tokenCount } =
      part.kind === "prompt" ? await this.#encodeFragments(part.fragments) : await this.#encodeBlend(part);
    if (part.weight !== 1) this.#weigh(hidden.data, () => part.weight);
    return { hidden, tokenCount };
  }

  async #encodeBlend({ prompts, normalized }: Extract<PromptPart, { kind: "blend" }>): Promise<PartStates> {
    const encoded: PartStates[] = [];
    for (const { fragments } of prompts) encoded.push(await this.#encodeFragments(fragments));
    const chunks = Math.max(...encoded.map(({ hidden }) => hidden.dims[0] ?? 0));
    const states = encoded.map(({ hidden }) => padChunks(hidden, this.#empty, chunks));
    const shares = sharesOf(
      prompts.map(({ weight }) => weight),
      normalized,
    );
    const hidden = scaledCopy(states[0] ?? this.#empty, shares[0] ?? 0);
    for (const [index, { data }] of states.entries()) if (index > 0) addScaled(hidden.data, data, shares[index] ?? 0);
    return { hidden, tokenCount: Math.max(...encoded.map(({ tokenCount }) => tokenCount)) };
  }

  async #encodeFragments(fragments: Fragments): Promise<PartStates> {
    const chunks = chunkFragments(fragments, this.#encoder.tokenizer);
    const dims = [chunks.count, this.#encoder.tokenizer.maxLength];
    const { hidden: base } = await this.#encoder.encode({ data: chunks.ids, dims }, this.#clipSkip);
    const width = base.dims[2] ?? 0;
    this.#weigh(base.data, (value) => chunks.weights[Math.floor(value / width)] ?? 1);
    return { hidden: await this.#lower(base, chunks), tokenCount: chunks.tokenCount };
  }

  /** Moves states in place: `empty + (states − empty) · weight`, rounded as torch does. @param weightOf by index of the value */
  #weigh(states: Float32Array, weightOf: (value: number) => number): void {
    const { data: empty } = this.#empty;
    for (let index = 0; index < states.length; index++) {
      const weight = Math.fround(weightOf(index));
      if (weight === 1) continue;
      const origin = empty[index % empty.length] ?? 0;
      states[index] = origin + Math.fround(Math.fround((states[index] ?? 0) - origin) * weight);
    }
  }

  /** Blends in the states without each lowered run of tokens; at the weight 0 there is nothing else. */
  async #lower(base: Tensor, chunks: WeightedChunks): Promise<Tensor> {
    if (chunks.lowered.length === 0) return base;
    const shares = sharesOf(
      [1, ...chunks.lowered.map(({ weight }) => Math.tan(((1 - Math.max(smallestWeight, weight)) * Math.PI) / 2))],
      true,
    );
    const blended = scaledCopy(base, shares[0] ?? 0);
    const chunkSize = base.data.length / chunks.count;
    for (const [index, run] of chunks.lowered.entries()) {
      for (let chunk = 0; chunk < chunks.count; chunk++) {
        const at = [chunk * chunkSize, (chunk + 1) * chunkSize] as const;
        const without = (await this.#chunkWithout(chunks, run, chunk)) ?? base.data.subarray(...at);
        addScaled(blended.data.subarray(...at), without, shares[index + 1] ?? 0);
      }
    }
    return blended;
  }

  /** Weighted states of a chunk in which a run of tokens is masked; undefined when no token of the run is in it. */
  async #chunkWithout(
    { ids, weights }: WeightedChunks,
    { from, to }: { readonly from: number; readonly to: number },
    chunk: number,
  ): Promise<Float32Array | undefined> {
    const { maxLength } = this.#encoder.tokenizer;
    const start = chunk * maxLength;
    // The first and the last token of a chunk stay: what stands between two chunks is no part of the run.
    const mask = Uint8Array.from({ length: maxLength }, (_, index) => {
      const isInRun = start + index >= from && start + index <= to;
      return isInRun && index > 0 && index < maxLength - 1 ? 0 : 1;
    });
    if (!mask.includes(0)) return undefined;
    const row = { data: ids.slice(start, start + maxLength), dims: [1, maxLength] };
    const { data } = await this.#encoder.encodeMasked(row, this.#clipSkip, mask);
    const width = data.length / maxLength;
    this.#weigh(data, (value) => weights[start + Math.floor(value / width)] ?? 1);
    return data;
  }
}

function sharesOf(weights: readonly number[], normalized: boolean): number[] {
  const rounded = weights.map(Math.fround);
  if (!normalized) return rounded;
  const sum = rounded.reduce((total, weight) => Math.fround(total + weight), 0);
  return rounded.map((weight) => Math.fround(weight / sum));
}

function scaledCopy({ data, dims }: Tensor, factor: number): Tensor {
  return { data: data.map((value) => value * factor), dims };
}

function addScaled(target: Float32Array, source: Float32Array, factor: number): void {
  for (let index = 0; index < target.length; index++) {
    target[index] = (target[index] ?? 0) + Math.fround((source[index] ?? 0) * factor);
  }
}
