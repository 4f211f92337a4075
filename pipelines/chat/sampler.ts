import { numericalError } from "#pipelines/core/errors.ts";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import type { Sampling } from "./request.ts";

/** Tokens that may come next, by number, each with its weight; the weights sum up to `total`. */
interface Choices {
  readonly tokens: readonly number[];
  readonly weights: readonly number[];
  readonly total: number;
}

/**
 * Chooses tokens as transformers' `generate` does: repetition penalty, temperature, top-k, top-p, then one draw. Scores are
 * computed in float32 as there, probabilities in float64.
 *
 * The draw is ours: one number of `torch.Generator("cpu")`, laid along the probabilities in the order of the tokens. torch's
 * own `multinomial` draws a number for each token of the vocabulary, 150,000 for one that is kept, by another algorithm on
 * each kind of CPU. So the distribution is that of transformers, and what a seed gives is this project's own.
 */
export class TokenSampler {
  readonly #sampling: Sampling;
  readonly #generator: TorchGenerator;
  readonly #seen: Set<number>;

  /** @param past tokens of the prompt, which the repetition penalty counts too */
  constructor(sampling: Sampling, seed: number, past: Iterable<number>) {
    this.#sampling = sampling;
    this.#generator = new TorchGenerator(seed);
    this.#seen = new Set(past);
  }

  /**
   * @param scores of every token of the vocabulary; changed
   * @throws PipelineError NUMERICAL_ERROR when the model gave no number
   */
  next(scores: Float32Array): number {
    const token = this.#choose(scores);
    this.#seen.add(token);
    return token;
  }

  #choose(scores: Float32Array): number {
    penalize(scores, this.#seen, this.#sampling.repetitionPenalty ?? 1);
    if (this.#sampling.temperature === 0) return bestOf(scores);
    const { tokens, weights, total } = choicesOf(scores, this.#sampling);
    let left = this.#generator.uniform() * total;
    for (const [index, weight] of weights.entries()) {
      left -= weight;
      if (left < 0) return tokens[index] ?? 0;
    }
    // Rounding: the sum of the weights in this order may be a little less than their total.
    return tokens.at(-1) ?? 0;
  }
}

/** As `RepetitionPenaltyLogitsProcessor` of transformers: a negative score is multiplied. */
export function penalize(scores: Float32Array, seen: ReadonlySet<number>, penalty: number): void {
  if (penalty === 1) return;
  const factor = Math.fround(penalty);
  for (const token of seen) {
    const score = scores[token];
    if (score !== undefined) scores[token] = score < 0 ? score * factor : score / factor;
  }
}

function bestOf(scores: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] ?? Number.NaN;
    if (score > highest) {
      highest = score;
      best = token;
    } else if (Number.isNaN(score)) throw notANumber();
  }
  if (best < 0 || highest === Number.POSITIVE_INFINITY) throw notANumber();
  return best;
}

/** What temperature, top-k and top-p leave, and how likely each is. Changes the scores. */
export function choicesOf(scores: Float32Array, { temperature, topK = 0, topP = 1 }: Sampling): Choices {
  const divisor = Math.fround(temperature);
  for (let token = 0; token < scores.length; token++) scores[token] = (scores[token] ?? 0) / divisor;
  const highest = scores[bestOf(scores)] ?? 0;
  const lowest = topK > 0 && topK < scores.length ? nthLargest(scores, topK) : Number.NEGATIVE_INFINITY;
  const all = new Float64Array(scores.length);
  let sum = 0;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] ?? 0;
    if (score >= lowest) sum += all[token] = Math.exp(score - highest);
  }
  const tokens = topP < 1 ? nucleusOf(all, sum, topP) : above(all, 0);
  const weights = tokens.map((token) => all[token] ?? 0);
  return { tokens, weights, total: weights.reduce((total, weight) => total + weight, 0) };
}

function above(weights: Float64Array, limit: number): number[] {
  const tokens: number[] = [];
  for (let token = 0; token < weights.length; token++) if ((weights[token] ?? 0) > limit) tokens.push(token);
  return tokens;
}

/**
 * As `TopPLogitsWarper`: from the least likely up, tokens go while their sum is at most `1 - topP`; the likeliest stays.
 * Tokens that have at most their even share of that sum go whatever the others are, so that few have to be sorted.
 */
function nucleusOf(weights: Float64Array, total: number, topP: number): number[] {
  const limit = (1 - topP) * total;
  const rest = above(weights, limit / weights.length);
  rest.sort((one, other) => (weights[one] ?? 0) - (weights[other] ?? 0));
  let sum = total - rest.reduce((part, token) => part + (weights[token] ?? 0), 0);
  let first = 0;
  while (first < rest.length - 1) {
    sum += weights[rest[first] ?? 0] ?? 0;
    if (sum > limit) break;
    first++;
  }
  return rest.slice(first).sort((one, other) => one - other);
}

/** The n-th largest value, found with a heap of n: n is small beside the vocabulary. */
function nthLargest(scores: Float32Array, n: number): number {
  const heap = scores.slice(0, n).sort();
  for (let token = n; token < scores.length; token++) {
    const score = scores[token] ?? 0;
    if (score > (heap[0] ?? 0)) replaceSmallest(heap, score);
  }
  return heap[0] ?? Number.NEGATIVE_INFINITY;
}

function replaceSmallest(heap: Float32Array, value: number): void {
  let hole = 0;
  for (;;) {
    let child = 2 * hole + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child++;
    if ((heap[child] ?? 0) >= value) break;
    heap[hole] = heap[child] ?? 0;
    hole = child;
  }
  heap[hole] = value;
}

function notANumber(): Error {
  return numericalError(
    "the scores of the next token",
    "Use the model in another precision: float32, or another file.",
  );
}
