import { CudaGenerator } from "#pipelines/core/random/cuda-generator.ts";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { elementCount, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { StepNoise } from "#pipelines/schedulers/scheduler.ts";

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
  readonly #generators: readonly Generator[];

  constructor(seeds: readonly number[], kind: NoiseKind = "cpu") {
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
    return needed === undefined ? undefined : this.draw(shape).data;
  }
}

/** Standard normal noise `[seeds, …shape]`, where nothing is drawn after it. */
export function drawNoise(seeds: readonly number[], shape: readonly number[]): Tensor {
  return new NoiseSource(seeds).draw(shape);
}
