import { expect, it } from "vitest";
import { combineGuidance, rescaleGuidance } from "./guidance.ts";

it("combines guidance, also over the first half in place", () => {
  const pair = Float32Array.of(1, 2, 3, 6);
  const out = new Float32Array(2);
  combineGuidance(pair, 7.5, out);
  expect([...out]).toEqual([16, 32]);
  combineGuidance(pair, 7.5, pair.subarray(0, 2));
  expect([...pair]).toEqual([16, 32, 3, 6]);
  expect(() => combineGuidance(pair, 1, new Float32Array(3))).toThrow("guidance needs 6 values, not 4");
});

it("rescales each image to the spread of its conditional prediction", () => {
  const conditional = Float32Array.of(1, 3, 10, 30);
  const guided = Float32Array.of(2, 6, 40, 120);
  rescaleGuidance(guided, conditional, 2, 1);
  // Twice and four times the spread: with g = 1 they are halved and quartered.
  expect([...guided].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([1, 3, 10, 30]);
  const kept = Float32Array.of(2, 6, 40, 120);
  rescaleGuidance(kept, conditional, 2, 0);
  expect([...kept]).toEqual([2, 6, 40, 120]);
});
