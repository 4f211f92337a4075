import { BrownianTree } from "#pipelines/core/random/brownian-tree.ts";
import { CudaGenerator } from "#pipelines/core/random/cuda-generator.ts";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { elementCount, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { BrownianStep, StepNoise } from "#pipelines/schedulers/scheduler.ts";

/** Whose random numbers a seed stands for: torch's on a CPU, or on a GPU. */
export type NoiseKind = "cpu" | "cuda";

/** Draws standard normal values, each time those that follow. */
interface Generator {
  randn(size: number): Float32Array;
}

/**
 * Noise of one run. Every result has a generator of its own, so that it is the same alone and in a batch: `torch.randn` with
 * a list of generators, in float32. What is drawn later follows what was drawn before.
 */
export class NoiseSource {
  readonly #seeds: readonly number[];
  readonly #generators: readonly Generator[];
  /** One path for each result, once a step needs them. */
  #paths: readonly BrownianTree[] | undefined;

  constructor(seeds: readonly number[], kind: NoiseKind = "cpu") {
    this.#seeds = seeds;
    this.#generators = seeds.map((seed) => (kind === "cuda" ? new CudaGenerator(seed) : new TorchGenerator(seed)));
  }

  /**
   * Standard normal noise `[seeds, …shape]`.
   * @param shape of one result in latents, not pixels: `[channels, height, width]` of a picture
   */
  draw(shape: readonly number[]): Tensor {
    const size = elementCount(shape);
    const data = new Float32Array(this.#generators.length * size);
    for (const [index, generator] of this.#generators.entries()) data.set(generator.randn(size), index * size);
    return tensor(data, [this.#generators.length, ...shape]);
  }

  /**
   * What a schedule's step needs, the values of one image after the other; undefined for none.
   * @param shape of one result, as for {@link NoiseSource.draw}
   */
  forStep(needed: StepNoise | undefined, shape: readonly number[]): Float32Array | undefined {
    if (needed === undefined) return undefined;
    return needed.kind === "normal" ? this.draw(shape).data : this.#walk(needed, elementCount(shape));
  }

  #walk({ from, to, smallest, largest, seed }: BrownianStep, size: number): Float32Array {
    this.#paths ??= this.#seeds.map((own) => new BrownianTree(smallest, largest, seed ?? own, size));
    const sign = from > to ? -1 : 1;
    const deviation = Math.fround(Math.sqrt(Math.fround(Math.abs(to - from))));
    const out = new Float32Array(this.#paths.length * size);
    for (const [index, path] of this.#paths.entries()) {
      out.set(path.increment(Math.min(from, to), Math.max(from, to)), index * size);
    }
    return out.map((value) => (sign * value) / deviation);
  }
}
