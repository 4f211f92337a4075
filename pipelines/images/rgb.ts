import { checkShape, type Tensor, tensor } from "#pipelines/core/tensor.ts";

/** 8-bit RGB, row by row. */
export interface RgbImage {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/**
 * Pixel values as 8-bit RGB, row by row: (x/2 + ½) · 255, rounded half to even as NumPy does, which is also how a
 * clamped array stores.
 * @param image `[1, 3, height, width]`, nominally in −1…1
 */
export function toRgbImage({ data, dims }: Tensor): RgbImage {
  checkShape("image", dims, [1, 3, -1, -1]);
  return toRgbFrame({ data, dims: dims.toSpliced(2, 0, 1) }, 0);
}

/** The inverse of {@link toRgbImage}, as diffusers' image processor computes it: `[1, 3, height, width]` in −1…1. */
export function toPixelValues(image: RgbImage): Tensor {
  const values = toUnitValues(image);
  const { data } = values;
  for (let index = 0; index < data.length; index++) data[index] = Math.fround(2 * (data[index] ?? 0)) - 1;
  return values;
}

/** The same in 0…1, as ControlNets take pictures. */
export function toUnitValues({ data, width, height }: RgbImage): Tensor {
  const pixels = width * height;
  const values = new Float32Array(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    for (let pixel = 0, source = channel; pixel < pixels; pixel++, source += 3) {
      values[channel * pixels + pixel] = (data[source] ?? 0) / 255;
    }
  }
  return tensor(values, [1, 3, height, width]);
}

/** The same of one frame of `[1, 3, frames, height, width]`. */
export function toRgbFrame(video: Tensor, frame: number): RgbImage {
  checkShape("video", video.dims, [1, 3, -1, -1, -1]);
  const [, , frames = 0, height = 0, width = 0] = video.dims;
  const pixels = height * width;
  const data = new Uint8ClampedArray(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    const plane = (channel * frames + frame) * pixels;
    for (let pixel = 0, target = channel; pixel < pixels; pixel++, target += 3) {
      data[target] = Math.fround(Math.fround((video.data[plane + pixel] ?? 0) * 0.5 + 0.5) * 255);
    }
  }
  return { data, width, height };
}
