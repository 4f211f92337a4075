import { expect, it } from "vitest";
import { throttled } from "./throttled.ts";

it("reports the first time at once, and later ones together, once a minute", () => {
  const reported: number[] = [];
  let nowMs = 0;
  const happened = throttled(
    (times) => reported.push(times),
    () => nowMs,
  );
  for (let n = 0; n < 10_000; n++) happened();
  expect(reported).toEqual([1]);
  nowMs = 60_000;
  happened();
  expect(reported).toEqual([1, 10_000]);
});
