import { expect, it } from "vitest";
import { cleanPrompt } from "./clean-prompt.ts";

// The right-hand sides are what diffusers' `prompt_clean` returns, without ftfy.
it.each([
  ["  a lake\n\tat   dawn ", "a lake at dawn"],
  ["cats &amp; dogs", "cats & dogs"],
  ["cats &amp;amp; dogs", "cats & dogs"],
  ["cats &amp;amp;amp; dogs", "cats &amp; dogs"],
  ["&lt;b&gt;a hill&#x21;&#33;", "<b>a hill!!"],
  ["&copy2 &notit; &hearts", "©2 ¬it; &hearts"],
  ["sea\u00a0and\u3000sky\u2028", "sea and sky"],
  ["sea\u001cand\u0085sky", "sea\u001cand sky"],
  ["\ufeffa hill", "\ufeffa hill"],
  ["&nbsp;a hill&nbsp;", "a hill"],
  ["", ""],
])("cleans %j", (prompt, cleaned) => {
  expect(cleanPrompt(prompt)).toBe(cleaned);
});
