import sharp from "sharp";
import { expect, it } from "vitest";
import { tensor } from "#pipelines/core/tensor.ts";
import { videoPreview } from "./video-preview.ts";

it("plays one frame for each latent frame, at the speed of the clip", async () => {
  const latentRgb = { weights: [[255], [0], [0]], biases: [0, 0, 0] };
  const latents = tensor(
    Float32Array.from({ length: 5 * 6 * 8 }, (_, index) => Math.floor(index / 48) / 4),
    [1, 1, 5, 6, 8],
  );
  const bytes = await videoPreview(latentRgb, 16, 4)(latents);
  const { format, width, pageHeight, pages, delay } = await sharp(bytes, { animated: true }).metadata();
  expect({ format, width, pageHeight, pages, delay }).toEqual({
    format: "webp",
    width: 8,
    pageHeight: 6,
    pages: 5,
    delay: [250, 250, 250, 250, 250],
  });
});
