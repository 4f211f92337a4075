import { expect, it } from "vitest";
import { tensor } from "../tensor.ts";
import { latentsToRgb } from "./preview.ts";

it("shows zero latents as the grey that the approximation is centred on", () => {
  const { data, width, height } = latentsToRgb(tensor(new Float32Array(24), [1, 4, 2, 3]));
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
  const { data } = latentsToRgb(tensor(Float32Array.from(planes.flat()), [1, 4, 1, 2]));
  expect([...data]).toEqual([210, 200, 190, 255, 255, 255]);
});
