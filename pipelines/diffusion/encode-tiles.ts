import { setImmediate } from "node:timers/promises";
import { type Tensor, zeros } from "#pipelines/core/tensor.ts";
import { cutTile, planesOf } from "./tiles.ts";

export interface EncodeTileOptions {
  /** Pixels per latent, on either axis. */
  readonly scale: number;
  /** Longest side of a tile, in pixels: a multiple of four times the scale. */
  readonly tilePixels: number;
  readonly signal?: AbortSignal | undefined;
}

/** Of a tile's side. */
const overlapShare = 1 / 4;

/**
 * Encodes a picture or frames in tiles, with diffusers' arithmetic (`_tiled_encode` of `AutoencoderKL`): tiles begin at each three
 * quarters of their side, and over the last quarter one goes over into the next. Memory stays that of one tile and the latents.
 * @param pixels `[1, 3, …, height, width]`
 * @param encode gets a tile of `pixels` and its number, always in the same order, and returns what the encoder makes of it,
 *   `[1, channels, …, height/scale, width/scale]`
 * @throws the signal's reason when it is aborted, between two tiles
 */
export function encodeInTiles(
  pixels: Tensor,
  options: EncodeTileOptions,
  encode: (tile: Tensor, index: number) => Promise<Tensor>,
): Promise<Tensor> {
  const [height = 0, width = 0] = pixels.dims.slice(-2);
  return encodeAreas({ width, height }, options, ({ rows, columns }, index) =>
    encode(cutTile(pixels, rows, columns), index),
  );
}

/** A part of a picture, in pixels. */
export interface TileArea {
  readonly rows: { readonly start: number; readonly size: number };
  readonly columns: { readonly start: number; readonly size: number };
}

/** The same of what is not there as a whole: `encode` gets a tile's place, its number, and how many there are. */
export async function encodeAreas(
  { width, height }: { readonly width: number; readonly height: number },
  { scale, tilePixels, signal }: EncodeTileOptions,
  encode: (area: TileArea, index: number, count: number) => Promise<Tensor>,
): Promise<Tensor> {
  const stride = Math.floor(tilePixels * (1 - overlapShare));
  const blend = Math.floor((tilePixels / scale) * overlapShare);
  const spans = (length: number) =>
    Array.from({ length: Math.ceil(length / stride) }, (_, index) => ({
      start: index * stride,
      size: Math.min(tilePixels, length - index * stride),
    }));
  const [rows, columns] = [spans(height), spans(width)];
  let result: Tensor | undefined;
  let above: Tensor[] = [];
  let tilesDone = 0;
  for (const row of rows) {
    const tiles: Tensor[] = [];
    for (const [index, column] of columns.entries()) {
      signal?.throwIfAborted();
      const tile = await encode({ rows: row, columns: column }, tilesDone++, rows.length * columns.length);
      blendFrom(above[index], tile, blend, "down");
      blendFrom(tiles.at(-1), tile, blend, "across");
      result ??= zeros([...tile.dims.slice(0, -2), height / scale, width / scale]);
      lay(result, tile, row.start / scale, column.start / scale, stride / scale);
      tiles.push(tile);
      await setImmediate();
    }
    above = tiles;
  }
  if (result === undefined) throw new RangeError("a picture without pixels cannot be encoded");
  return result;
}

/** Lets the tile before go over into this one at its edge, which is changed in place. */
function blendFrom(before: Tensor | undefined, tile: Tensor, extent: number, way: "down" | "across"): void {
  if (before === undefined) return;
  const [height = 0, width = 0] = tile.dims.slice(-2);
  const axis = way === "down" ? -2 : -1;
  const [own = 0, others = 0] = [tile.dims.at(axis), before.dims.at(axis)];
  const length = Math.min(extent, own, others);
  const last = { start: others - length, size: length };
  const whole = (size: number) => ({ start: 0, size });
  const edge = way === "down" ? cutTile(before, last, whole(width)) : cutTile(before, whole(height), last);
  const [rows = 0, columns = 0] = edge.dims.slice(-2);
  for (const [index, value] of edge.data.entries()) {
    const x = index % columns;
    const row = Math.floor(index / columns);
    const y = row % rows;
    const share = (way === "down" ? y : x) / length;
    const target = (Math.floor(row / rows) * height + y) * width + x;
    tile.data[target] =
      Math.fround(value * Math.fround(1 - share)) + Math.fround((tile.data[target] ?? 0) * Math.fround(share));
  }
}

/** Lays the tile into the result, up to where the next one begins. */
function lay(result: Tensor, tile: Tensor, top: number, left: number, limit: number): void {
  const [resultHeight = 0, resultWidth = 0] = result.dims.slice(-2);
  const [height = 0, width = 0] = tile.dims.slice(-2);
  for (let plane = 0; plane < planesOf(tile); plane++) {
    for (let y = 0; y < Math.min(height, limit); y++) {
      const source = (plane * height + y) * width;
      const target = (plane * resultHeight + top + y) * resultWidth + left;
      result.data.set(tile.data.subarray(source, source + Math.min(width, limit)), target);
    }
  }
}
