import { styleText } from "node:util";
import { expect, it } from "vitest";
import { printable, printableJson } from "./printable.ts";

const attack = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202egnp.exe\u2066\x7f";

it("shows what would steer a terminal instead of sending it", () => {
  expect(printable(attack)).toBe("\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202egnp.exe\\u2066\\x7f");
});

it("leaves texts, line breaks and the program's own colours as they are", () => {
  const text = `${styleText("red", "error:", { validateStream: false })} a lake\n\tby Łódź, 湖 🏞️`;
  expect(printable(text)).toBe(text);
});

it("escapes it in JSON, which means the same", () => {
  const value = { prompt: attack, list: ["a\nb"] };
  const json = printableJson(JSON.stringify(value, null, 2));
  for (const character of attack.replaceAll(/[\x20-\x7e]/g, "")) expect(json).not.toContain(character);
  expect(JSON.parse(json)).toEqual(value);
});
