import { expect, test } from "vitest";
import { editDistance } from "#contract/near-names.ts";
import { didYouMean } from "./suggest.ts";

test.each([
  ["kitten", "sitting", 3],
  ["", "abc", 3],
  ["abc", "", 3],
  ["draw", "draw", 0],
])("from %j to %j it takes %i edits", (left, right, distance) => {
  expect(editDistance(left, right)).toBe(distance);
  expect(editDistance(right, left)).toBe(distance);
});

test("only a name that is near is suggested", () => {
  const names = ["sdxl_image_fast", "sdxl_image_high", "chat"];
  expect(didYouMean("sdxl_imag_fast", names)).toBe('Did you mean "sdxl_image_fast"?');
  expect(didYouMean("cat", names)).toBe('Did you mean "chat"?');
  expect(didYouMean("x", names)).toBe("");
  expect(didYouMean("something_else", names)).toBe("");
});
