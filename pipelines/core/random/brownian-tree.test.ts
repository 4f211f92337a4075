import { expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { BrownianTree } from "./brownian-tree.ts";
import { seedWords } from "./seed-sequence.ts";

it("mixes seeds as NumPy's SeedSequence does", () => {
  expect([...seedWords(12345, [], { poolSize: 24, count: 3 })]).toEqual([2888090517, 4151165838, 1159728038]);
  expect([...seedWords(2 ** 40 + 7, [5, 3], { poolSize: 24, count: 4 })]).toEqual([
    274823170, 1995610858, 3082670851, 2858707861,
  ]);
});

const path = (seed = 42) => new BrownianTree(Math.fround(0.029167), Math.fround(14.614647), seed, 20);

it("gives the same increments in any order, which add up", () => {
  const [first, second] = [path(), path()];
  const whole = first.increment(0.5, 9.25);
  for (const [from, to] of [
    [3, 9.25],
    [0.5, 3],
  ] as const) {
    expect(second.increment(from, to)).toEqual(first.increment(from, to));
  }
  const right = second.increment(3, 9.25);
  const sum = second.increment(0.5, 3).map((value, index) => value + (right[index] ?? 0));
  expect(maxDifference(sum, whole)).toBeLessThan(1e-5);
  expect(path(43).increment(0.5, 9.25)).not.toEqual(whole);
});

it("has nothing beyond its ends, and nothing in no time", () => {
  expect(path().increment(20, 30)).toEqual(new Float32Array(20));
  expect(path().increment(2, 2)).toEqual(new Float32Array(20));
  expect(path().increment(-5, 99)).toEqual(path().increment(0.029167, 14.614647));
});

it("has the variance of the time that passed", () => {
  const values = new BrownianTree(0, 10, 5, 20_000).increment(2.5, 6.125);
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.06);
  expect(Math.abs(variance / 3.625 - 1)).toBeLessThan(0.05);
});
