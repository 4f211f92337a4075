import { describe, expect, it } from "vitest";
import { tensor } from "#pipelines/core/tensor.ts";
import { toRgbImage } from "./rgb.ts";

describe("toRgbImage", () => {
  it("interleaves the planes, clamps, and rounds a half to the even neighbour", () => {
    const toValue = (byte: number) => (byte / 255) * 2 - 1;
    const planes = [
      [toValue(10), -1.5],
      [toValue(20), 1.5],
      [toValue(30), toValue(200)],
    ];
    const image = tensor(Float32Array.from(planes.flat()), [1, 3, 1, 2]);
    expect([...toRgbImage(image).data]).toEqual([10, 20, 30, 0, 255, 200]);
    expect([...toRgbImage(tensor(new Float32Array(3), [1, 3, 1, 1])).data]).toEqual([128, 128, 128]);
  });
});
