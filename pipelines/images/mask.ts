import type { RgbImage } from "./rgb.ts";

/** Which pixels of a picture are drawn anew: 1, or 0 for those that stay. */
export interface Mask {
  /** Row by row. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** The bright half of a picture, as diffusers' mask processor takes it: drawn anew from a grey of 128 on. */
export function maskOf(image: RgbImage): Mask {
  return { ...image, data: greyOf(image).map((grey) => (grey >= 128 ? 1 : 0)) };
}

/** A picture in grey, row by row, as Pillow makes it (ITU-R 601-2). */
export function greyOf({ data, width, height }: RgbImage): Uint8Array {
  const out = new Uint8Array(width * height);
  for (let pixel = 0, source = 0; pixel < out.length; pixel++, source += 3) {
    const [red = 0, green = 0, blue = 0] = [data[source], data[source + 1], data[source + 2]];
    out[pixel] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
  }
  return out;
}

/** Every `scale`-th pixel of a mask: one a latent, as `torch.nn.functional.interpolate` picks the nearest. */
export function maskOfLatents({ data, width, height }: Mask, scale: number): Float32Array {
  const columns = width / scale;
  return Float32Array.from(
    { length: columns * (height / scale) },
    (_, index) => data[Math.floor(index / columns) * scale * width + (index % columns) * scale] ?? 0,
  );
}

/**
 * Lays what was drawn over the original where the mask says so. Over `radius` pixels outside of the mask's edge the one goes
 * over into the other: latents reach that far beyond it.
 * @param drawn of the original's size, as is the mask; changed
 */
export function layOver(original: RgbImage, drawn: RgbImage, mask: Mask, radius: number): RgbImage {
  const { data } = drawn;
  const shares = sharesAround(mask, radius);
  for (let pixel = 0, index = 0; pixel < shares.length; pixel++) {
    const share = shares[pixel] ?? 0;
    for (let channel = 0; channel < 3; channel++, index++) {
      const from = original.data[index] ?? 0;
      data[index] = from + ((data[index] ?? 0) - from) * share;
    }
  }
  return drawn;
}

/** 1 inside of the mask, down to 0 at `radius` pixels from it. */
function sharesAround(mask: Mask, radius: number): Float32Array {
  const { data, width, height } = mask;
  const rows = averages(Float32Array.from(data), { lines: height, lineStep: width, length: width, step: 1 }, radius);
  const area = averages(rows, { lines: width, lineStep: 1, length: height, step: width }, radius);
  // Half of the pixels around one at a straight edge are inside.
  return area.map((average, pixel) => (data[pixel] === 1 ? 1 : Math.min(1, 2 * average)));
}

interface Lines {
  readonly lines: number;
  readonly lineStep: number;
  readonly length: number;
  readonly step: number;
}

/** Averages over `2 · radius + 1` values of each line; beyond an end, its last value goes on. */
function averages(values: Float32Array, { lines, lineStep, length, step }: Lines, radius: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let line = 0; line < lines; line++) {
    const at = (index: number) => values[line * lineStep + Math.min(Math.max(index, 0), length - 1) * step] ?? 0;
    let sum = 0;
    for (let index = -radius; index <= radius; index++) sum += at(index);
    for (let index = 0; index < length; index++) {
      out[line * lineStep + index * step] = sum / (2 * radius + 1);
      sum += at(index + radius + 1) - at(index - radius);
    }
  }
  return out;
}
