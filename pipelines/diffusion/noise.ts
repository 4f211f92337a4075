import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { elementCount, type Tensor, tensor } from "#pipelines/core/tensor.ts";

/**
 * Standard normal noise `[seeds, …shape]`. Every result has a generator of its own, so that it is the same alone and in a
 * batch: `torch.randn` with a list of generators, in float32.
 * @param shape of one result in latents, not pixels: `[channels, height, width]` of a picture
 */
export function drawNoise(seeds: readonly number[], shape: readonly number[]): Tensor {
  const size = elementCount(shape);
  const data = new Float32Array(seeds.length * size);
  seeds.forEach((seed, index) => {
    data.set(new TorchGenerator(seed).randn(size), index * size);
  });
  return tensor(data, [seeds.length, ...shape]);
}
