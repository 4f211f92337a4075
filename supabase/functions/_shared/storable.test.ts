import { expect, test } from "vitest";
import { isStorable, storable } from "./storable.ts";

const good = { a: "a lake", "b\n": ["🦊", 1, null, true, { c: "" }] };

test.each([
  ["a\0lake", "a\ufffdlake"],
  ["\ud83e", "\ufffd"],
  [{ "k\0": [{ deep: "\udd8a🦊" }] }, { "k\ufffd": [{ deep: "\ufffd🦊" }] }],
])("replaces what the database cannot keep: %j", (value, kept) => {
  expect(isStorable(value)).toBe(false);
  expect(storable(value)).toEqual(kept);
  expect(isStorable(storable(value))).toBe(true);
});

test("leaves everything else as it is", () => {
  expect(isStorable(good)).toBe(true);
  expect(storable(good)).toEqual(good);
});
