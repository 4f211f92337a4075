import { z } from "zod";
import { modelInvalid } from "#pipelines/core/errors.ts";
import type { Tensor } from "#pipelines/core/tensor.ts";
import { normalizedPixels } from "./normalized-pixels.ts";
import { resizePicture } from "./resample.ts";
import type { RgbImage } from "./rgb.ts";

const square = z.union(
  [
    z.int().positive(),
    z.object({ height: z.int().positive(), width: z.int().positive() }).transform(({ height }) => height),
  ],
  { error: "must be a whole number of pixels, or a height and a width" },
);

/** The `preprocessor_config.json` of transformers' `CLIPImageProcessor`, as far as it says anything of its own. */
export const clipProcessorConfig = z.object({
  size: z.union(
    [z.int().positive(), z.object({ shortest_edge: z.int().positive() }).transform((size) => size.shortest_edge)],
    { error: "must be a whole number of pixels, or a shortest_edge" },
  ),
  crop_size: square,
  /** Pillow's number; 3 is bicubic, which CLIP was trained with. */
  resample: z.literal(3).default(3),
  image_mean: z.array(z.number()).length(3),
  image_std: z.array(z.number().positive()).length(3),
});

export type ClipProcessorConfig = z.output<typeof clipProcessorConfig>;

/** @throws PipelineError MODEL_INVALID when the processor makes pictures of another size than the encoder takes */
export function checkClipSize(path: string, { size, crop_size }: ClipProcessorConfig, imageSize: number): void {
  if (size >= crop_size && crop_size === imageSize) return;
  throw modelInvalid(
    path,
    `size ${size} and crop_size ${crop_size} must fit the image encoder's image_size ${imageSize}`,
  );
}

/**
 * A picture as CLIP's vision model takes it, equal to transformers' `CLIPImageProcessor` on Pillow: the shorter side becomes
 * `size`, the middle is cut out, and every channel is normalized.
 * @returns `[1, 3, crop_size, crop_size]`
 */
export function clipPixels(image: RgbImage, processor: ClipProcessorConfig): Tensor {
  const { size, crop_size: crop } = processor;
  const isWide = image.width >= image.height;
  const longer = Math.trunc((size * Math.max(image.width, image.height)) / Math.min(image.width, image.height));
  const [width, height] = isWide ? [longer, size] : [size, longer];
  const [left, top] = [Math.floor((width - crop) / 2), Math.floor((height - crop) / 2)];
  const part = { left, top, width: crop, height: crop };
  return normalizedPixels(resizePicture(image, width, height, "bicubic", part), processor);
}
