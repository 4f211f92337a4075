import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { TokenText } from "./token-text.ts";
import { ChatTokenizer } from "./tokenizer.ts";

const names = ["tiny-qwen2", "tiny-llama", "tiny-gemma"] as const;
const perModel = <Value extends z.ZodType>(value: Value) =>
  z.object({ "tiny-qwen2": value, "tiny-llama": value, "tiny-gemma": value });
const cases = z
  .array(z.object({ text: z.string(), ids: perModel(z.array(z.number())), decoded: perModel(z.string()) }))
  .parse(JSON.parse(await readFile(new URL("fixtures/tokens.json", import.meta.url), "utf8")));

/** The library takes a byte order mark at the beginning of what it decodes from bytes for one of the coding, and drops it. */
const byteOrderMark = "\ufeff";

describe.each(names)("the tokenizer of %s", async (name) => {
  const tokenizer = await ChatTokenizer.load(new URL(`fixtures/${name}`, import.meta.url).pathname);
  const readable = cases.filter(({ text }) => !text.startsWith(byteOrderMark));

  it("reads and writes texts as transformers does", () => {
    for (const { text, ids } of cases) expect([text, tokenizer.encode(text, true)]).toEqual([text, ids[name]]);
    for (const { ids, decoded } of readable) expect(tokenizer.decode(ids[name])).toBe(decoded[name]);
  });

  it("writes them token by token, whole characters only", () => {
    for (const { ids, decoded } of readable) {
      const text = new TokenText((some) => tokenizer.decode(some));
      const pieces = ids[name].map((id) => text.push(id));
      for (const piece of pieces)
        expect([piece, piece.isWellFormed() && !piece.endsWith("\ufffd")]).toEqual([piece, true]);
      expect([...pieces, text.end()].join("")).toBe(decoded[name]);
    }
  });
});

it("gives out at the end what never became a character", async () => {
  const tokenizer = await ChatTokenizer.load(new URL("fixtures/tiny-qwen2", import.meta.url).pathname);
  const [first = 0] = tokenizer.encode("🦊", false);
  const text = new TokenText((ids) => tokenizer.decode(ids));
  expect([text.push(first), text.end()]).toEqual(["", "\ufffd"]);
});

it("leaves out tokens that there is no text for", async () => {
  const tokenizer = await ChatTokenizer.load(new URL("fixtures/tiny-qwen2", import.meta.url).pathname);
  expect(tokenizer.decode([9999])).toBe("");
});
