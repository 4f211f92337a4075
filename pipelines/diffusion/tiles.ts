import { elementCount, type Tensor, tensor } from "#pipelines/core/tensor.ts";

/** One tile along one axis. Positions and sizes are in latents. */
export interface Tile {
  readonly start: number;
  readonly size: number;
  /** Latents shared with the tile before and after; 0 at the image's borders. */
  readonly overlapBefore: number;
  readonly overlapAfter: number;
}

/**
 * Covers an axis with as few tiles of at most `maxSize` as possible, evenly placed, each sharing at least `overlap`
 * with its neighbours.
 * @param maxSize 20 or more: in smaller ones, rounding may bring three tiles together where their weights count
 * @param overlap at most two fifths of `maxSize`, so that no latent has weight in three tiles
 */
export function planTiles(length: number, maxSize: number, overlap: number): Tile[] {
  if (overlap * 5 > maxSize * 2 || overlap < 1) {
    throw new RangeError(`an overlap of ${overlap} does not fit into tiles of ${maxSize}`);
  }
  if (length <= maxSize) return [{ start: 0, size: length, overlapBefore: 0, overlapAfter: 0 }];
  const count = Math.ceil((length - overlap) / (maxSize - overlap));
  const size = Math.ceil((length + (count - 1) * overlap) / count);
  const starts = Array.from({ length: count }, (_, index) => Math.floor((index * (length - size)) / (count - 1)));
  const overlapAfter = (index: number) => {
    const next = starts[index + 1];
    return next === undefined ? 0 : (starts[index] ?? 0) + size - next;
  };
  return starts.map((start, index) => ({
    start,
    size,
    overlapBefore: index === 0 ? 0 : overlapAfter(index - 1),
    overlapAfter: overlapAfter(index),
  }));
}

/**
 * Weight of every pixel of a tile along one axis, `[size · scale]`. Over an overlap the weights of the two tiles add up
 * to 1. The outer quarter on either side of an overlap counts nothing, since a decoder's output is least true at a
 * tile's edge; between them the weight rises in a straight line.
 * @param scale pixels per latent
 */
export function blendWeights(tile: Tile, scale: number): Float32Array {
  const weights = new Float32Array(tile.size * scale).fill(1);
  const before = tile.overlapBefore * scale;
  for (let index = 0; index < before; index++) weights[index] = ramp(index, before);
  const after = tile.overlapAfter * scale;
  for (let index = 0; index < after; index++) weights[weights.length - after + index] = 1 - ramp(index, after);
  return weights;
}

function ramp(index: number, length: number): number {
  const position = (index + 0.5) / length;
  return Math.fround(Math.min(Math.max((position - 0.25) * 2, 0), 1));
}

/** How many planes of height and width a tensor `[…, height, width]` has. */
export function planesOf({ dims }: Tensor): number {
  return elementCount(dims.slice(0, -2));
}

type Span = Pick<Tile, "start" | "size">;

/** A part of all planes of `[…, height, width]`, as a copy. */
export function cutTile(source: Tensor, row: Span, column: Span): Tensor {
  const [height = 0, width = 0] = source.dims.slice(-2);
  const planes = planesOf(source);
  const out = new Float32Array(planes * row.size * column.size);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < row.size; y++) {
      const from = (plane * height + row.start + y) * width + column.start;
      out.set(source.data.subarray(from, from + column.size), (plane * row.size + y) * column.size);
    }
  }
  return tensor(out, [...source.dims.slice(0, -2), row.size, column.size]);
}
