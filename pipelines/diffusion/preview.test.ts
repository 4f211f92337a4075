import { expect, it } from "vitest";
import { tensor } from "#pipelines/core/tensor.ts";
import { sdxlLatentRgb } from "#pipelines/sdxl/latent-rgb.ts";
import { latentsToRgb } from "./preview.ts";

it("shows zero latents as the grey that the approximation is centred on", () => {
  const { data, width, height } = latentsToRgb(tensor(new Float32Array(24), [1, 4, 2, 3]), sdxlLatentRgb);
  expect([width, height]).toEqual([3, 2]);
  expect([...data.subarray(0, 6)]).toEqual([150, 140, 130, 150, 140, 130]);
});

it("reads the four planes of each pixel and clamps", () => {
  const planes = [
    [1, 0],
    [0, 1],
    [0, 0],
    [0, -9],
  ];
  const { data } = latentsToRgb(tensor(Float32Array.from(planes.flat()), [1, 4, 1, 2]), sdxlLatentRgb);
  expect([...data]).toEqual([210, 200, 190, 255, 255, 255]);
});

it("takes a model's own weights, for as many channels as it has", () => {
  const latentRgb = {
    weights: [
      [1, 0],
      [0, 2],
      [3, 1],
    ],
    biases: [10, 20, 30],
  };
  const { data } = latentsToRgb(tensor(Float32Array.from([5, 6, 7, 8]), [1, 2, 1, 2]), latentRgb);
  expect([...data]).toEqual([15, 34, 52, 16, 36, 56]);
});
