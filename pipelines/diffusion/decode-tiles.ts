import { setImmediate } from "node:timers/promises";
import { release, type Tensor, zeros } from "#pipelines/core/tensor.ts";
import { blendWeights, cutTile, planesOf, planTiles, type Tile } from "./tiles.ts";

export interface TileOptions {
  /** Pixels per latent, on either axis. */
  readonly scale: number;
  /** Longest side of a tile, in latents. */
  readonly tileSize: number;
  readonly signal?: AbortSignal | undefined;
}

/** Tiles share a quarter of their largest side, as in diffusers' tiled VAE. */
const overlapShare = 1 / 4;

/**
 * Decodes latents in spatial tiles and blends their seams, so that memory stays that of one tile and the result.
 * @param latents `[…, height, width]`; all other axes go whole into every tile
 * @param outputDims of the result, `[…, height · scale, width · scale]`
 * @param decode gets a tile of `latents` and its number, always in the same order, and returns its part of the result,
 *   which is released
 * @throws the signal's reason when it is aborted, between two tiles
 */
export async function decodeInTiles(
  latents: Tensor,
  outputDims: readonly number[],
  { scale, tileSize, signal }: TileOptions,
  decode: (tile: Tensor, index: number) => Promise<Tensor>,
): Promise<Tensor> {
  const [height = 0, width = 0] = latents.dims.slice(-2);
  const overlap = Math.floor(tileSize * overlapShare);
  const result = zeros(outputDims);
  let index = 0;
  for (const row of planTiles(height, tileSize, overlap)) {
    for (const column of planTiles(width, tileSize, overlap)) {
      signal?.throwIfAborted();
      const tile = await decode(cutTile(latents, row, column), index++);
      addTile(result, tile, row, column, scale);
      release(tile);
      await setImmediate();
    }
  }
  return result;
}

function addTile(result: Tensor, tile: Tensor, row: Tile, column: Tile, scale: number): void {
  const [resultHeight = 0, resultWidth = 0] = result.dims.slice(-2);
  const [height = 0, width = 0] = tile.dims.slice(-2);
  const rowWeights = blendWeights(row, scale);
  const columnWeights = blendWeights(column, scale);
  const planes = planesOf(tile);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < height; y++) {
      const rowWeight = rowWeights[y] ?? 0;
      const source = (plane * height + y) * width;
      const target = (plane * resultHeight + row.start * scale + y) * resultWidth + column.start * scale;
      for (let x = 0; x < width; x++) {
        const weight = rowWeight * (columnWeights[x] ?? 0);
        result.data[target + x] = (result.data[target + x] ?? 0) + weight * (tile.data[source + x] ?? 0);
      }
    }
  }
}
