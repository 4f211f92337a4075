import type { RgbImage } from "./rgb.ts";

/** Half the filter's width in source pixels, where nothing is made smaller. */
const lanczosSupport = 3;
/** Weights are whole multiples of 2^-22, as Pillow's are for 8 bits. */
const precisionBits = 22;
const half = 1 << (precisionBits - 1);

/**
 * Resizes with Lanczos' filter as Pillow's `Image.resize((width, height), Image.Resampling.LANCZOS)` does, to the bit: weights
 * in fixed point, columns first, 8 bits in between (`ImagingResample` in Pillow's `src/libImaging/Resample.c`). libvips' own
 * filter differs by a few levels, which a VAE encoder carries into the latents.
 */
export function resizeLanczos(image: RgbImage, width: number, height: number): RgbImage {
  const narrowed = width === image.width ? image : resizeColumns(image, width);
  return height === image.height ? narrowed : resizeRows(narrowed, height);
}

/** For every pixel of the result the source pixels that it is made of, and their weights. */
interface Weights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `size` weights a pixel of the result, of which `counts` are used. */
  readonly values: Int32Array;
  readonly size: number;
}

function weightsFor(from: number, to: number): Weights {
  const scale = from / to;
  const filterScale = Math.max(scale, 1);
  const support = lanczosSupport * filterScale;
  const size = Math.ceil(support) * 2 + 1;
  const weights = { starts: new Int32Array(to), counts: new Int32Array(to), values: new Int32Array(to * size), size };
  for (let index = 0; index < to; index++) {
    const center = (index + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - start;
    const exact = Float64Array.from({ length: count }, (_, offset) =>
      lanczos((offset + start - center + 0.5) / filterScale),
    );
    const sum = exact.reduce((total, value) => total + value, 0);
    weights.starts[index] = start;
    weights.counts[index] = count;
    for (const [offset, value] of exact.entries()) {
      const fixed = (value / sum) * 2 ** precisionBits;
      weights.values[index * size + offset] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
  }
  return weights;
}

function lanczos(x: number): number {
  return -lanczosSupport <= x && x < lanczosSupport ? sinc(x) * sinc(x / lanczosSupport) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function resizeColumns({ data, width: from, height }: RgbImage, width: number): RgbImage {
  const { starts, counts, values, size } = weightsFor(from, width);
  const out = new Uint8ClampedArray(width * height * 3);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const target = (row * width + column) * 3;
      let source = (row * from + (starts[column] ?? 0)) * 3;
      let [red, green, blue] = [half, half, half];
      const first = column * size;
      for (let index = first; index < first + (counts[column] ?? 0); index++, source += 3) {
        const weight = values[index] ?? 0;
        red += (data[source] ?? 0) * weight;
        green += (data[source + 1] ?? 0) * weight;
        blue += (data[source + 2] ?? 0) * weight;
      }
      out[target] = red >> precisionBits;
      out[target + 1] = green >> precisionBits;
      out[target + 2] = blue >> precisionBits;
    }
  }
  return { data: out, width, height };
}

function resizeRows({ data, width, height: from }: RgbImage, height: number): RgbImage {
  const { starts, counts, values, size } = weightsFor(from, height);
  const rowLength = width * 3;
  const out = new Uint8ClampedArray(rowLength * height);
  const sums = new Int32Array(rowLength);
  for (let row = 0; row < height; row++) {
    sums.fill(half);
    for (let offset = 0; offset < (counts[row] ?? 0); offset++) {
      const weight = values[row * size + offset] ?? 0;
      const source = ((starts[row] ?? 0) + offset) * rowLength;
      for (let index = 0; index < rowLength; index++) {
        sums[index] = (sums[index] ?? 0) + (data[source + index] ?? 0) * weight;
      }
    }
    const target = row * rowLength;
    for (let index = 0; index < rowLength; index++) out[target + index] = (sums[index] ?? 0) >> precisionBits;
  }
  return { data: out, width, height };
}
