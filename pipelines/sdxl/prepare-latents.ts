import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";

export interface LatentShape {
  readonly channels: number;
  /** In latents, not pixels. */
  readonly height: number;
  readonly width: number;
}

/**
 * Standard normal noise `[seeds, channels, height, width]`. Every image has a generator of its own, so that it is the
 * same picture alone and in a batch: `torch.randn` with a list of generators, in float32.
 */
export function drawNoise(seeds: readonly number[], { channels, height, width }: LatentShape): Tensor {
  const size = channels * height * width;
  const data = new Float32Array(seeds.length * size);
  seeds.forEach((seed, index) => {
    data.set(new TorchGenerator(seed).randn(size), index * size);
  });
  return tensor(data, [seeds.length, channels, height, width]);
}
