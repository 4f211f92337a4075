import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { Expert } from "./expert.ts";

/** What a UNet is shown beside text and timestep, `[1, ids]` each. */
export interface TimeIds {
  readonly positive: Tensor;
  readonly negative: Tensor;
}

interface Micro {
  readonly width: number;
  readonly height: number;
  readonly aestheticScore?: number | undefined;
  readonly negativeAestheticScore?: number | undefined;
}

/** Of the refiner's training, as diffusers has them. */
const defaultScores = { positive: 6, negative: 2.5 } as const;

/**
 * SDXL's size conditioning (Podell et al., "SDXL", 2023, section 2.2): original size, crop offset, target size; of a refiner
 * an aesthetic score, from 0 to 10, in place of the last (`_get_add_time_ids` of diffusers).
 */
export function timeIdsOf({ takesAestheticScore }: Pick<Expert, "takesAestheticScore">, micro: Micro): TimeIds {
  const { width, height } = micro;
  const ids = (last: readonly number[]) => {
    const data = Float32Array.of(height, width, 0, 0, ...last);
    return tensor(data, [1, data.length]);
  };
  if (!takesAestheticScore) return { positive: ids([height, width]), negative: ids([height, width]) };
  const { aestheticScore = defaultScores.positive, negativeAestheticScore = defaultScores.negative } = micro;
  return { positive: ids([aestheticScore]), negative: ids([negativeAestheticScore]) };
}

/**
 * Sines and cosines of the guidance scale, `[1, width]`, for a UNet that was distilled to follow it without a second half
 * (`get_guidance_scale_embedding` of diffusers, in float32 as there).
 */
export function guidanceEmbedding(guidanceScale: number, width: number): Tensor {
  const half = Math.floor(width / 2);
  const scale = Math.fround(Math.fround(guidanceScale - 1) * 1000);
  const step = Math.fround(Math.fround(Math.log(10000)) / (half - 1));
  const data = new Float32Array(width);
  for (let index = 0; index < half; index++) {
    const angle = Math.fround(scale * Math.fround(Math.exp(Math.fround(index * -step))));
    data[index] = Math.sin(angle);
    data[half + index] = Math.cos(angle);
  }
  return tensor(data, [1, width]);
}
