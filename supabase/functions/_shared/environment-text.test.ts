import { expect, it } from "vitest";
import { keyProblem, writingProblem } from "./environment-text.ts";

it.each([
  ["a-secret\n", "ends in a line break"],
  ["a-secret\r\n", "ends in a line break"],
  ["a\tsecret", "a tab"],
  ["a\nsecret", "a line break"],
  ["a\0secret", "control character"],
  [" a-secret", "white space"],
  ["a-secret ", "white space"],
  ["\u00a0a-secret", "white space"],
  ['"a-secret"', "in quotes"],
  ["'a-secret'", "in quotes"],
  ["`a-secret`", "in quotes"],
])("%j: %s", (value, problem) => {
  expect(writingProblem(value)).toContain(problem);
  expect(keyProblem(value)).toContain(problem);
  expect(writingProblem(value)).not.toContain("secret");
});

it.each(["a secret of words", "schlüssel-der-tür", 'half"quoted', '"', "it's", '{"a":"b"}'])(
  "%j may stand so, though not every one of them in a header",
  (value) => {
    expect(writingProblem(value)).toBeNull();
  },
);

it.each(["a secret of words", "schlüssel-der-tür", "\u200ba-secret"])("%j is no key", (value) => {
  expect(keyProblem(value)).toContain("visible ASCII");
});
