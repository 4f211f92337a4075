import { expect, it } from "vitest";
import { ProgressScale } from "./progress-scale.ts";

it("lays stages end to end on one scale", () => {
  const scale = new ProgressScale([
    { name: "encode", share: 1 },
    { name: "denoise", share: 8 },
    { name: "decode", share: 1 },
  ]);
  const reports = [
    scale.at("encode", 1, 2),
    scale.at("encode", 2, 2),
    scale.at("denoise", 0, 3),
    scale.at("denoise", 1, 3),
    scale.at("denoise", 3, 3),
    scale.at("decode", 1, 4),
    scale.at("decode", 4, 4),
    scale.at("decode", 5, 4),
  ];
  expect(reports).toEqual([5, 10, 10, 36.7, 90, 92.5, 100, 100]);
  expect(scale.total).toBe(100);
});
