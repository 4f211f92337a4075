import { expect, it } from "vitest";
import { startStepOf } from "./start-step.ts";

it.each([
  [50, 0.02, 49],
  [20, 0.05, 19],
  [20, 0.2, 16],
  [50, 0.6, 20],
  [15, 1, 0],
  // As in Python, 0.29 · 100 is 28.999…
  [100, 0.29, 72],
])("of %i steps at strength %d leaves out %i", (steps, strength, expected) => {
  expect(startStepOf(steps, { strength })).toBe(expected);
});

it("runs one step where less than one would be left, when that is wanted", () => {
  expect(startStepOf(15, { strength: 0.05, takesOneStep: true })).toBe(14);
  expect(startStepOf(15, { strength: 0, takesOneStep: true })).toBe(14);
});

it("says what to do where no step is left", () => {
  const at = (steps: number, strength: number) => () => startStepOf(steps, { strength });
  expect(at(20, 0.02)).toThrow(
    "denoise_strength 0.02 of 20 steps is less than one step: use at least 50 steps, a strength of 0.05, or exact_copy_mode",
  );
  expect(at(20, 0)).toThrow("denoise_strength 0 (reference_strength 1) leaves the reference as it is");
  for (const [steps, strength] of [
    [Math.ceil(1 / 0.02), 0.02],
    [7, 0.143],
  ] as const) {
    expect(startStepOf(steps, { strength })).toBe(steps - 1);
  }
});
