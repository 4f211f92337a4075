import { expect, it } from "vitest";
import { parsePrefer } from "./prefer.ts";

it.each([
  [null, false, null],
  ["", false, null],
  ["respond-async", true, null],
  ["Respond-Async, Wait=10", true, 10],
  ["wait=0", false, 0],
  ['wait = "30"; strict, return=minimal', false, 30],
  ["wait=5, wait=50", false, 5],
  ["wait=-1", false, null],
  ["wait=1e3", false, null],
  ["wait=99999999999", false, null],
  ["respond-asynchronously", false, null],
])("%j", (header, isAsync, waitSeconds) => {
  expect(parsePrefer(header)).toEqual({ isAsync, waitSeconds });
});
