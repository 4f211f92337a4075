import type { RgbImage } from "#pipelines/images/rgb.ts";

/** A picture by a formula, the same as `tools/reference/wan_frames.py` makes for the reference. */
export function formulaPicture(width: number, height: number, number = 0): RgbImage {
  const data = new Uint8ClampedArray(3 * width * height);
  for (let y = 0, index = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++, index++) {
        data[index] = (29 * number + 7 * y + 5 * x + 83 * channel + ((x * y * (channel + 1)) >> 3)) & 255;
      }
    }
  }
  return { data, width, height };
}
