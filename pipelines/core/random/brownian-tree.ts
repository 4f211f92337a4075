import { seedWords } from "./seed-sequence.ts";
import { TorchGenerator } from "./torch-generator.ts";

/** An interval of the path: the root, or a half of its parent. */
interface Node {
  readonly start: number;
  readonly end: number;
  /** 0 for the root; of the halves of k: 2k and 2k + 1. */
  readonly key: number;
  readonly depth: number;
  readonly parent: Node | undefined;
}

/** Increments of as many intervals are kept: those next to a query are needed by the next one. */
const maxKept = 45;
const poolSize = 24;

/**
 * A Brownian path from a seed, of which any increment can be asked for in any order: torchsde's `BrownianInterval` as
 * diffusers and k-diffusion use it (`halfway_tree`, `tol` 1e-6, `pool_size` 24). The path is fixed at the ends, and each
 * interval's middle is drawn from its own seed.
 */
export class BrownianTree {
  readonly #seed: number;
  readonly #size: number;
  readonly #root: Node;
  readonly #whole: Float32Array;
  /** By depth and key, the least recently made first. */
  readonly #kept = new Map<string, Float32Array>();

  /** @param size values of the path, all independent */
  constructor(start: number, end: number, seed: number, size: number) {
    this.#seed = seed;
    this.#size = size;
    this.#root = { start: rounded(start), end: rounded(end), key: 0, depth: 0, parent: undefined };
    const [word = 0] = seedWords(seed, [], { poolSize, count: 3 });
    this.#whole = scaled(this.#draw(word), Math.sqrt(end - start));
  }

  /** W(to) − W(from), where `from` is at most `to`. What lies outside of the path counts nothing. */
  increment(from: number, to: number): Float32Array {
    const { start, end } = this.#root;
    const clamp = (time: number) => rounded(Math.min(Math.max(time, start), end));
    const sum = new Float32Array(this.#size);
    const [first, ...rest] = this.#cover(this.#root, clamp(from), clamp(to));
    if (first === undefined) return sum;
    sum.set(this.#incrementOf(first));
    for (const node of rest) {
      const part = this.#incrementOf(node);
      for (let index = 0; index < sum.length; index++) sum[index] = (sum[index] ?? 0) + (part[index] ?? 0);
    }
    return sum;
  }

  /** The fewest intervals of the tree that make up a part of one, from left to right. */
  #cover(node: Node, from: number, to: number): Node[] {
    if (from >= to) return [];
    if (from === node.start && to === node.end) return [node];
    const middle = middleOf(node);
    if (to <= middle) return this.#cover(half(node, 0), from, to);
    if (from >= middle) return this.#cover(half(node, 1), from, to);
    return [...this.#cover(half(node, 0), from, middle), ...this.#cover(half(node, 1), middle, to)];
  }

  /** The half's share of the parent's increment, and a bridge's noise (Revuz and Yor, section I.3, exercise 10). */
  #incrementOf(node: Node): Float32Array {
    const { parent, key, depth } = node;
    if (parent === undefined) return this.#whole;
    const name = `${depth}:${key}`;
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const whole = this.#incrementOf(parent);
    const middle = middleOf(parent);
    const [left, right] = [middle - parent.start, parent.end - middle];
    const share = 1 / (parent.end - parent.start);
    const [word = 0] = seedWords(this.#seed, [parent.key, parent.depth], { poolSize, count: 4 });
    const noise = scaled(this.#draw(word), Math.sqrt(left * right * share));
    const mean = scaled(scaled(whole.slice(), left), share);
    const isLeft = key % 2 === 0;
    const increment = whole.map((value, index) => {
      const leftValue = Math.fround((mean[index] ?? 0) + (noise[index] ?? 0));
      return isLeft ? leftValue : value - leftValue;
    });
    this.#keep(name, increment);
    return increment;
  }

  #keep(name: string, increment: Float32Array): void {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= maxKept && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(name, increment);
  }

  #draw(seed: number): Float32Array {
    return new TorchGenerator(seed).randn(this.#size);
  }
}

function middleOf({ start, end }: Node): number {
  return rounded(0.5 * (end + start));
}

function half(parent: Node, side: 0 | 1): Node {
  const middle = middleOf(parent);
  const { key, depth } = parent;
  const ends = side === 0 ? { start: parent.start, end: middle } : { start: middle, end: parent.end };
  return { ...ends, key: 2 * key + side, depth: depth + 1, parent };
}

/** To six decimals, as Python's `round` (but for ties, which no sum of two such numbers meets by chance). */
function rounded(time: number): number {
  return Number(time.toFixed(6));
}

/** In place, in float32. */
function scaled(values: Float32Array, factor: number): Float32Array {
  const factor32 = Math.fround(factor);
  for (let index = 0; index < values.length; index++) values[index] = (values[index] ?? 0) * factor32;
  return values;
}
