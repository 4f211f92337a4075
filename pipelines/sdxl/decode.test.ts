import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Component } from "#pipelines/core/onnx.ts";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { NoiseSource } from "#pipelines/diffusion/noise.ts";
import { maxDifference, meanDifference } from "#pipelines/testing/compare.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { decodeLatents } from "./decode.ts";
import { readModelFolder, type SdxlModelFolder } from "./model-folder.ts";
import { SdxlPipeline } from "./pipeline.ts";

let vaeDecoder: Component;
let model: SdxlModelFolder;
beforeAll(async () => {
  vaeDecoder = await Component.load(join(tinySdxl, "vae_decoder", "model.onnx"), { executionProvider: "cpu" });
  model = await readModelFolder(tinySdxl);
});
afterAll(() => vaeDecoder.dispose());

/** Latents as denoising leaves them. */
let latents: Tensor;
beforeAll(async () => {
  const pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
  const request = { prompt: "a lake", width: 512, height: 384, numInferenceSteps: 3, guidanceScale: 4, seeds: [1] };
  await pipeline.generate(request, {
    onStage: (stage) => {
      if (stage.name === "step") latents = tensor(stage.latents.data.slice(), stage.latents.dims);
    },
  });
  await pipeline.dispose();
});

describe("decodeLatents in tiles", () => {
  const tiled = { tileAbovePixels: 0, tilePixels: 320 };

  it("comes close to decoding the whole, without a seam", async () => {
    const whole = await decodeLatents(vaeDecoder, model, latents);
    const pieces = await decodeLatents(vaeDecoder, model, latents, tiled);
    expect(pieces.dims).toEqual([1, 3, 384, 512]);
    // The decoder looks at the whole picture (attention, group statistics), so tiles can only come close: what differs is
    // a slow drift of tone, of a twentieth of the range −1…1 with these small tiles and random weights.
    expect(meanDifference(pieces.data, whole.data)).toBeLessThan(0.05);
    // What must not be seen is a seam: a line along which all pixels step the same way.
    const drift = tensor(
      pieces.data.map((value, index) => value - (whole.data[index] ?? 0)),
      pieces.dims,
    );
    expect(largestSeam(drift)).toBeLessThan(0.02);
  });

  it("of one tile is the whole, exactly", async () => {
    const whole = await decodeLatents(vaeDecoder, model, latents);
    const pieces = await decodeLatents(vaeDecoder, model, latents, { tileAbovePixels: 0, tilePixels: 512 });
    expect(maxDifference(pieces.data, whole.data)).toBe(0);
  });

  it("stops between tiles when it is cancelled", async () => {
    const signal = AbortSignal.abort(new Error("cancelled"));
    await expect(decodeLatents(vaeDecoder, model, latents, { ...tiled, signal })).rejects.toThrow("cancelled");
  });
});

describe("decodeLatents", () => {
  it("applies the latents' mean and deviation by channel", async () => {
    const normalized = {
      ...model,
      vae: { scalingFactor: 0.5, shiftFactor: 0, normalization: { mean: [1, 2, 3, 4], std: [2, 1, 2, 1] } },
    };
    const plain = { ...model, vae: { scalingFactor: 1, shiftFactor: 0, normalization: undefined } };
    const noise = new NoiseSource([3]).draw([4, 8, 8]);
    const expected = tensor(
      noise.data.map((value, index) => {
        const channel = Math.floor(index / 64);
        return (value * (channel % 2 ? 1 : 2)) / 0.5 + channel + 1;
      }),
      noise.dims,
    );
    const [actual, reference] = [
      await decodeLatents(vaeDecoder, normalized, noise),
      await decodeLatents(vaeDecoder, plain, expected),
    ];
    expect(maxDifference(actual.data, reference.data)).toBeLessThan(1e-4);
  });

  it("fails on latents that overflow, not with a black picture", async () => {
    const latents = tensor(new Float32Array(256).fill(1e38), [1, 4, 8, 8]);
    await expect(decodeLatents(vaeDecoder, model, latents)).rejects.toMatchObject({
      code: "NUMERICAL_ERROR",
      message: expect.stringContaining("NaN or infinity in the decoded image"),
    });
  });

  it("refuses latents of another shape", async () => {
    const latents = tensor(new Float32Array(512), [2, 4, 8, 8]);
    await expect(decodeLatents(vaeDecoder, model, latents)).rejects.toThrow("expected [1, 4, -1, -1]");
  });
});

/** Largest mean step from one row or column to the next. */
function largestSeam({ data, dims }: Tensor): number {
  const [, , height = 0, width = 0] = dims;
  const at = (y: number, x: number) => data[y * width + x] ?? 0;
  const steps = [
    ...Array.from({ length: height - 1 }, (_, y) => meanOf(width, (x) => at(y + 1, x) - at(y, x))),
    ...Array.from({ length: width - 1 }, (_, x) => meanOf(height, (y) => at(y, x + 1) - at(y, x))),
  ];
  return Math.max(...steps.map(Math.abs));
}

function meanOf(count: number, value: (index: number) => number): number {
  let sum = 0;
  for (let index = 0; index < count; index++) sum += value(index);
  return sum / count;
}
