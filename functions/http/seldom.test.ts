import { expect, it } from "vitest";
import { seldom } from "./seldom.ts";

it("tells the first time at once, and later ones together, once a minute", () => {
  const told: number[] = [];
  let nowMs = 0;
  const happened = seldom(
    (times) => told.push(times),
    () => nowMs,
  );
  for (let n = 0; n < 10_000; n++) happened();
  expect(told).toEqual([1]);
  nowMs = 60_000;
  happened();
  expect(told).toEqual([1, 10_000]);
});
