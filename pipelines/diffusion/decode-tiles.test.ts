import { expect, it } from "vitest";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { decodeInTiles } from "./decode-tiles.ts";

/** Repeats every latent `scale` times on both axes, as a decoder that looks at nothing around it. */
function enlarge({ data, dims }: Tensor, scale: number): Tensor {
  const [height = 0, width = 0] = dims.slice(-2);
  const outDims = [...dims.slice(0, -2), height * scale, width * scale];
  const out = new Float32Array(data.length * scale * scale);
  for (let index = 0; index < out.length; index++) {
    const x = Math.floor((index % (width * scale)) / scale);
    const y = Math.floor((Math.floor(index / (width * scale)) % (height * scale)) / scale);
    const plane = Math.floor(index / (width * scale * height * scale));
    out[index] = data[(plane * height + y) * width + x] ?? 0;
  }
  return tensor(out, outDims);
}

it.each([
  ["a picture", [1, 2, 47, 61]],
  ["frames of a clip", [1, 2, 3, 47, 30]],
])("puts %s together as if it had been decoded whole", async (_what, dims) => {
  const size = dims.reduce((product, axis) => product * axis, 1);
  const latents = tensor(
    Float32Array.from({ length: size }, (_, index) => Math.sin(index)),
    dims,
  );
  const whole = enlarge(latents, 2);
  const tiles: number[] = [];
  const result = await decodeInTiles(latents, whole.dims, { scale: 2, tileSize: 20 }, async (tile) => {
    tiles.push(Math.max(...tile.dims.slice(-2)));
    return enlarge(tile, 2);
  });
  expect(tiles.length).toBeGreaterThan(4);
  expect(Math.max(...tiles)).toBeLessThanOrEqual(20);
  const difference = Math.max(...result.data.map((value, index) => Math.abs(value - (whole.data[index] ?? 0))));
  expect(difference).toBeLessThan(1e-6);
});

it("stops between two tiles", async () => {
  const controller = new AbortController();
  let count = 0;
  const latents = tensor(new Float32Array(40 * 40), [1, 1, 40, 40]);
  const decoding = decodeInTiles(
    latents,
    [1, 1, 40, 40],
    { scale: 1, tileSize: 20, signal: controller.signal },
    async (tile) => {
      count++;
      controller.abort(new Error("cancelled"));
      return tile;
    },
  );
  await expect(decoding).rejects.toThrow("cancelled");
  expect(count).toBe(1);
});
