import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { chunkTokens } from "./chunks.ts";
import { ClipTokenizer } from "./clip-tokenizer.ts";

const model = fileURLToPath(new URL("../sdxl/fixtures/random-sdxl/", import.meta.url));
const tokenized = z.object({ padded: z.array(z.int()), ids: z.array(z.int()) });
const cases = z
  .array(z.object({ text: z.string(), tokenizer: tokenized, tokenizer_2: tokenized }))
  .parse(JSON.parse(readFileSync(new URL("../sdxl/fixtures/clip-tokenizer-cases.json", import.meta.url), "utf8")));

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "tokenizer-"));
});
afterAll(() => rmSync(copy, { recursive: true }));

describe.each(["tokenizer", "tokenizer_2"] as const)("%s", (name) => {
  describe.each(["tokenizer.json", "vocab.json and merges.txt"])("from %s", (source) => {
    let tokenizer: ClipTokenizer;
    beforeAll(async () => {
      const folder = join(copy, `${name} ${source}`);
      cpSync(join(model, name), folder, { recursive: true });
      const unused = source === "tokenizer.json" ? ["vocab.json", "merges.txt"] : ["tokenizer.json"];
      for (const file of unused) rmSync(join(folder, file));
      tokenizer = await ClipTokenizer.load(folder);
    });

    it.each(cases)("tokenizes $text as transformers does", ({ text, ...expected }) => {
      const { beginId, endId } = tokenizer;
      expect([beginId, ...tokenizer.encode(text), endId]).toEqual(expected[name].ids);
    });

    it("pads with the id that the files name", () => {
      const expected = cases.find(({ text }) => text === "")?.[name].padded;
      expect([...chunkTokens([], tokenizer, 1).data]).toEqual(expected);
    });
  });
});

describe("a tokenizer folder that cannot be", () => {
  it("says which file is missing", async () => {
    await expect(ClipTokenizer.load(join(copy, "nowhere"))).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("nowhere/vocab.json"),
    });
  });

  it("says which file is broken", async () => {
    const folder = join(copy, "broken");
    cpSync(join(model, "tokenizer"), folder, { recursive: true });
    writeFileSync(join(folder, "tokenizer.json"), '{"model":{"vocab":{"a":"b"}}}');
    await expect(ClipTokenizer.load(folder)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/broken\/tokenizer\.json: [\s\S]*model\.vocab\.a/),
    });
  });

  it("names a special token that the vocabulary lacks", async () => {
    const folder = join(copy, "padless");
    cpSync(join(model, "tokenizer"), folder, { recursive: true });
    writeFileSync(join(folder, "tokenizer_config.json"), '{"pad_token":"<pad>"}');
    await expect(ClipTokenizer.load(folder)).rejects.toThrow('the special token "<pad>" is not in the vocabulary');
  });
});
