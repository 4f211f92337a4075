import { z } from "zod";
import { modelInvalid, numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { roundHalfEven } from "#pipelines/core/round-half-even.ts";
import { isFiniteData, type Tensor } from "#pipelines/core/tensor.ts";
import { normalizedPixels } from "./normalized-pixels.ts";
import { resizePicture } from "./resample.ts";
import type { RgbImage } from "./rgb.ts";

const side = z.int().positive();

/** The `preprocessor_config.json` of transformers' `DPTImageProcessor`, which Depth Anything has too. */
export const depthProcessorConfig = z.object({
  size: z.union([side.transform((size) => ({ height: size, width: size })), z.object({ height: side, width: side })], {
    error: "must be a whole number of pixels, or a height and a width",
  }),
  keep_aspect_ratio: z.boolean().default(false),
  ensure_multiple_of: side.default(1),
  /** Pillow's number: bilinear or bicubic. */
  resample: z.literal([2, 3]).default(3),
  image_mean: z.array(z.number()).length(3),
  image_std: z.array(z.number().positive()).length(3),
});

export type DepthProcessorConfig = z.output<typeof depthProcessorConfig>;

/**
 * A picture's depths as ControlNets for depth take them: near is white. Estimated as transformers' depth estimators do, brought
 * to the picture's size as torch's bicubic interpolation does, and spread over all levels of grey.
 * @param estimator with the input `pixel_values` and the output `predicted_depth`
 * @throws PipelineError NUMERICAL_ERROR or MODEL_INVALID
 */
export async function depthPicture(
  estimator: Component,
  processor: DepthProcessorConfig,
  image: RgbImage,
): Promise<RgbImage> {
  const { predicted_depth: depths } = await estimator.run({ pixel_values: depthPixels(image, processor) }, [
    "predicted_depth",
  ]);
  if (!isFiniteData(depths.data)) {
    throw numericalError(
      "the reference's estimated depths",
      "Depth estimators that overflow in float16 do this: export it in float32.",
    );
  }
  const isMap = depths.dims.length >= 3 && depths.dims.slice(0, -2).every((size) => size === 1);
  if (!isMap)
    throw modelInvalid(
      estimator.path,
      `predicted_depth is of shape [${depths.dims.join(", ")}], not [1, height, width]`,
    );
  return greyOf(enlarged(depths, image.width, image.height), image);
}

/** `[1, 3, height, width]`, equal to transformers' `DPTImageProcessor` on Pillow. */
export function depthPixels(image: RgbImage, processor: DepthProcessorConfig): Tensor {
  const { width, height } = sizeFor(image, processor);
  const filter = processor.resample === 2 ? "bilinear" : "bicubic";
  return normalizedPixels(resizePicture(image, width, height, filter), processor);
}

function sizeFor({ width, height }: RgbImage, processor: DepthProcessorConfig): { width: number; height: number } {
  let [scaleWidth, scaleHeight] = [processor.size.width / width, processor.size.height / height];
  if (processor.keep_aspect_ratio) {
    // The one that changes the picture's size less.
    if (Math.abs(1 - scaleWidth) < Math.abs(1 - scaleHeight)) scaleHeight = scaleWidth;
    else scaleWidth = scaleHeight;
  }
  const multiple = processor.ensure_multiple_of;
  const rounded = (size: number) => Math.max(roundHalfEven(size / multiple), 1) * multiple;
  return { width: rounded(scaleWidth * width), height: rounded(scaleHeight * height) };
}

/** As `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)` makes it of a map. */
function enlarged({ data, dims }: Tensor, width: number, height: number): Float32Array {
  const [fromHeight = 1, fromWidth = 1] = dims.slice(-2);
  const rows = tapsFor(fromHeight, height);
  const columns = tapsFor(fromWidth, width);
  const out = new Float32Array(width * height);
  for (const [row, down] of rows.entries()) {
    for (const [column, across] of columns.entries()) {
      let sum = 0;
      for (const { at: line, weight: vertical } of down) {
        let ofLine = 0;
        for (const { at: place, weight } of across) ofLine += weight * (data[line * fromWidth + place] ?? 0);
        sum += vertical * ofLine;
      }
      out[row * width + column] = sum;
    }
  }
  return out;
}

interface Tap {
  readonly at: number;
  readonly weight: number;
}

/** For every place of the result the four of the source around it; beyond an end, its last value goes on. */
function tapsFor(from: number, to: number): Tap[][] {
  return Array.from({ length: to }, (_, index) => {
    const center = ((index + 0.5) * from) / to - 0.5;
    const first = Math.floor(center);
    return [-1, 0, 1, 2].map((offset) => ({
      at: Math.min(Math.max(first + offset, 0), from - 1),
      weight: cubic(Math.abs(center - (first + offset))),
    }));
  });
}

/** Torch's cubic has an `a` of -0.75. */
function cubic(distance: number): number {
  const a = -0.75;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * a : 0;
}

function greyOf(depths: Float32Array, { width, height }: RgbImage): RgbImage {
  const [least, most] = depths.reduce(
    ([low, high], depth) => [Math.min(low, depth), Math.max(high, depth)],
    [Infinity, -Infinity],
  );
  const span = most - least;
  const data = new Uint8ClampedArray(3 * depths.length);
  for (const [pixel, depth] of depths.entries()) {
    const grey = span === 0 ? 0 : Math.trunc(((depth - least) / span) * 255);
    data.fill(grey, 3 * pixel, 3 * pixel + 3);
  }
  return { data, width, height };
}
