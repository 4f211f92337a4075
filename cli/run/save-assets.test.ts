import { expect, test } from "vitest";
import { slug } from "./save-assets.ts";

test.each([
  ["A lighthouse, at dawn!", "a-lighthouse-at-dawn"],
  ["  ../../etc/passwd\0", "etc-passwd"],
  ["Ein Häuschen im Wald", "ein-häuschen-im-wald"],
  ["灯台", "灯台"],
  ["?!", ""],
  ["a very long prompt that goes on and on about a landscape", "a-very-long-prompt-that-goes-on-and-on-about-a"],
  ["x".repeat(100), ""],
])("%j becomes %j", (prompt, name) => {
  expect(slug(prompt)).toBe(name);
});
