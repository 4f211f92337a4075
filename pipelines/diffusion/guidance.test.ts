import { expect, it } from "vitest";
import { combineGuidance, rescaleGuidance } from "./guidance.ts";

it("combines guidance, also in place of either prediction", () => {
  const [unconditional, conditional] = [Float32Array.of(1, 2), Float32Array.of(3, 6)];
  const out = new Float32Array(2);
  combineGuidance(unconditional, conditional, 7.5, out);
  expect([...out]).toEqual([16, 32]);
  for (const inPlace of [unconditional.slice(), conditional.slice()]) {
    const isFirst = inPlace[0] === 1;
    combineGuidance(isFirst ? inPlace : unconditional, isFirst ? conditional : inPlace, 7.5, inPlace);
    expect([...inPlace]).toEqual([16, 32]);
  }
  expect(() => combineGuidance(out, conditional, 1, new Float32Array(3))).toThrow(
    "guidance needs 3 values of each prediction, not 2 and 2",
  );
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
