import type { RgbImage } from "./rgb.ts";

/** How much the source pixels around a place count, by their distance. */
interface Filter {
  /** Half the filter's width in source pixels, where nothing is made smaller. */
  readonly support: number;
  weight(distance: number): number;
}

const lanczosSupport = 3;
const filters = {
  lanczos: { support: lanczosSupport, weight: lanczos },
  bicubic: { support: 2, weight: bicubic },
  bilinear: { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
} as const satisfies Record<string, Filter>;

/** Weights are whole multiples of 2^-22, as Pillow's are for 8 bits. */
const precisionBits = 22;
const half = 1 << (precisionBits - 1);

/** A rectangle of a resized picture. */
export interface ResizedPart {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Resizes as Pillow's `Image.resize((width, height), Image.Resampling.LANCZOS)`, `BICUBIC` or `BILINEAR` does, to the bit: weights
 * in fixed point, columns first, 8 bits in between (`ImagingResample` in Pillow's `src/libImaging/Resample.c`). libvips' own
 * filter differs by a few levels, which a VAE encoder carries into the latents.
 * @param part what of the result is made; the rest costs neither time nor memory
 */
export function resizePicture(
  image: RgbImage,
  width: number,
  height: number,
  filter: keyof typeof filters,
  part: ResizedPart = { left: 0, top: 0, width, height },
): RgbImage {
  const columns = { from: image.width, to: width, first: part.left, count: part.width };
  const rows = { from: image.height, to: height, first: part.top, count: part.height };
  const rowWeights = isWhole(rows) ? undefined : weightsFor(rows, filters[filter]);
  const needed = rowWeights === undefined ? image : rowsFrom(image, rowWeights);
  const narrowed = isWhole(columns) ? needed : resizeColumns(needed, weightsFor(columns, filters[filter]));
  return rowWeights === undefined ? narrowed : resizeRows(narrowed, rowWeights);
}

/** One dimension of a resize: of `to` pixels made of `from`, those that are wanted. */
interface Axis {
  readonly from: number;
  readonly to: number;
  readonly first: number;
  readonly count: number;
}

function isWhole({ from, to, count }: Axis): boolean {
  return from === to && count === to;
}

/** For every wanted pixel of the result the source pixels that it is made of, and their weights. */
interface Weights {
  /** Never falling. */
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `size` weights a pixel of the result, of which `counts` are used. */
  readonly values: Int32Array;
  readonly size: number;
}

function weightsFor({ from, to, first, count: wanted }: Axis, filter: Filter): Weights {
  const scale = from / to;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const size = Math.ceil(support) * 2 + 1;
  const [starts, counts, values] = [new Int32Array(wanted), new Int32Array(wanted), new Int32Array(wanted * size)];
  for (let index = 0; index < wanted; index++) {
    const center = (first + index + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - start;
    const exact = Float64Array.from({ length: count }, (_, offset) =>
      filter.weight((offset + start - center + 0.5) / filterScale),
    );
    const sum = exact.reduce((total, value) => total + value, 0);
    starts[index] = start;
    counts[index] = count;
    for (const [offset, value] of exact.entries()) {
      const fixed = (value / sum) * 2 ** precisionBits;
      values[index * size + offset] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
  }
  return { starts, counts, values, size };
}

function lanczos(x: number): number {
  return -lanczosSupport <= x && x < lanczosSupport ? sinc(x) * sinc(x / lanczosSupport) : 0;
}

/** Catmull and Rom's cubic, Pillow's `a` of -0.5. */
function bicubic(x: number): number {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * a : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** The rows of a picture that those of the result are made of. */
function rowsFrom({ data, width }: RgbImage, { starts, counts }: Weights): RgbImage {
  const top = starts[0] ?? 0;
  const end = (starts.at(-1) ?? 0) + (counts.at(-1) ?? 0);
  return { data: data.subarray(top * width * 3, end * width * 3), width, height: end - top };
}

function resizeColumns({ data, width: from, height }: RgbImage, { starts, counts, values, size }: Weights): RgbImage {
  const width = starts.length;
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

/** The picture begins with the first row that is needed. */
function resizeRows({ data, width }: RgbImage, { starts, counts, values, size }: Weights): RgbImage {
  const height = starts.length;
  const top = starts[0] ?? 0;
  const rowLength = width * 3;
  const out = new Uint8ClampedArray(rowLength * height);
  const sums = new Int32Array(rowLength);
  for (let row = 0; row < height; row++) {
    sums.fill(half);
    for (let offset = 0; offset < (counts[row] ?? 0); offset++) {
      const weight = values[row * size + offset] ?? 0;
      const source = ((starts[row] ?? 0) - top + offset) * rowLength;
      for (let index = 0; index < rowLength; index++) {
        sums[index] = (sums[index] ?? 0) + (data[source + index] ?? 0) * weight;
      }
    }
    const target = row * rowLength;
    for (let index = 0; index < rowLength; index++) out[target + index] = (sums[index] ?? 0) >> precisionBits;
  }
  return { data: out, width, height };
}
