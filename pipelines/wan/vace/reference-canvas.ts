import { invalidJob } from "#pipelines/core/errors.ts";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { resizePicture } from "#pipelines/images/resample.ts";
import { type RgbImage, toPixelValues } from "#pipelines/images/rgb.ts";

/** Size of a canvas, and what sides of pictures are cut down to multiples of. */
interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly multiple: number;
}

/**
 * A reference picture in the middle of a white canvas, as large as it fits, as diffusers' `WanVACEPipeline` lays it: its sides
 * become multiples of the VAE's scale first (Pillow's Lanczos), then it is scaled by torch's bilinear interpolation.
 * @returns pixel values in −1…1, `[1, 3, 1, height, width]`
 * @throws PipelineError INVALID_JOB for a picture with a side that is less than one latent
 */
export function referenceCanvas(image: RgbImage, { width, height, multiple }: Canvas): Tensor {
  const [fullWidth, fullHeight] = [image.width, image.height].map((side) => side - (side % multiple));
  if (!fullWidth || !fullHeight) {
    throw invalidJob(
      `a reference picture has ${image.width}×${image.height} pixels: send one of at least ${multiple}×${multiple}`,
    );
  }
  const pixels = toPixelValues(resizePicture(image, fullWidth, fullHeight, "lanczos"));
  const scale = Math.min(height / fullHeight, width / fullWidth);
  const size = [fullHeight, fullWidth].map((side) => Math.max(1, Math.trunc(side * scale)));
  const [fittedHeight = 0, fittedWidth = 0] = size;
  const fitted = interpolate(pixels, fittedHeight, fittedWidth);
  const [top, left] = [Math.floor((height - fittedHeight) / 2), Math.floor((width - fittedWidth) / 2)];
  const out = new Float32Array(3 * height * width).fill(1);
  for (let channel = 0; channel < 3; channel++) {
    for (let row = 0; row < fittedHeight; row++) {
      const source = (channel * fittedHeight + row) * fittedWidth;
      const target = (channel * height + top + row) * width + left;
      out.set(fitted.subarray(source, source + fittedWidth), target);
    }
  }
  return tensor(out, [1, 3, 1, height, width]);
}

/** As `torch.nn.functional.interpolate` with `mode="bilinear"`: nothing is averaged where the picture becomes smaller. */
function interpolate({ data, dims }: Tensor, height: number, width: number): Float32Array {
  const [, channels = 0, fromHeight = 0, fromWidth = 0] = dims;
  const [rows, columns] = [neighbours(fromHeight, height), neighbours(fromWidth, width)];
  const out = new Float32Array(channels * height * width);
  let index = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (const row of rows) {
      const [first, second] = [row.first, row.second].map((from) => (channel * fromHeight + from) * fromWidth);
      for (const column of columns) {
        const across = (start = 0) =>
          (1 - column.share) * (data[start + column.first] ?? 0) + column.share * (data[start + column.second] ?? 0);
        out[index++] = (1 - row.share) * across(first) + row.share * across(second);
      }
    }
  }
  return out;
}

/** For every place the two before and after it, and how much the second counts. */
function neighbours(from: number, to: number) {
  const step = Math.fround(from / to);
  return Array.from({ length: to }, (_, index) => {
    const place = Math.max(0, Math.fround(Math.fround(step * (index + 0.5)) - 0.5));
    const first = Math.min(Math.floor(place), from - 1);
    return { first, second: Math.min(first + 1, from - 1), share: Math.fround(place - first) };
  });
}
