import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { T5Tokenizer } from "./t5-tokenizer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
});
afterEach(() => rm(folder, { recursive: true }));

const special = (id: number, content: string) => ({
  id,
  content,
  special: true,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
});

/** A Unigram model as SentencePiece makes them, of a few pieces. */
const definition = {
  version: "1.0",
  added_tokens: [special(0, "<pad>"), special(1, "</s>"), special(2, "<unk>")],
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  post_processor: null,
  decoder: null,
  model: {
    type: "Unigram",
    unk_id: 2,
    vocab: [
      ["<pad>", 0],
      ["</s>", 0],
      ["<unk>", 0],
      ["▁sea", -2],
      ["▁s", -3],
      ["ea", -3],
      ["gull", -4],
      ["s", -5],
    ],
  },
};

async function load(changes: object = {}, config: object = {}) {
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify({ ...definition, ...changes }));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return await T5Tokenizer.load(folder);
}

it("ends a text with the end mark, and fills it up with pad tokens that the mask leaves out", async () => {
  const { inputIds, attentionMask, length, cutTokens } = (await load()).encode("seagulls sea", 8);
  expect([...inputIds.data]).toEqual([3, 6, 7, 3, 1, 0, 0, 0]);
  expect([...attentionMask.data]).toEqual([1, 1, 1, 1, 1, 0, 0, 0]);
  expect(inputIds.dims).toEqual([1, 8]);
  expect([length, cutTokens]).toEqual([5, 0]);
});

it("reads an empty text as its end mark alone", async () => {
  expect([...(await load()).encode("", 3).inputIds.data]).toEqual([1, 0, 0]);
});

it("cuts a longer text, keeps the end mark, and counts what is left out", async () => {
  const tokenizer = await load();
  const exact = tokenizer.encode("sea sea sea", 4);
  expect([...exact.inputIds.data, exact.cutTokens]).toEqual([3, 3, 3, 1, 0]);
  const long = tokenizer.encode("sea sea sea sea sea", 4);
  expect([...long.inputIds.data, long.cutTokens]).toEqual([3, 3, 3, 1, 2]);
  expect([...long.attentionMask.data]).toEqual([1, 1, 1, 1]);
});

it("takes the marks that its config names", async () => {
  const tokenizer = await load({}, { pad_token: { content: "<unk>" }, eos_token: "<pad>" });
  expect([...tokenizer.encode("sea", 4).inputIds.data]).toEqual([3, 0, 2, 2]);
});

it("names a file that is missing or wrong", async () => {
  await expect(T5Tokenizer.load(folder)).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    message: expect.stringContaining(join(folder, "tokenizer.json")),
  });
  await expect(load({}, { eos_token: "[SEP]" })).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringContaining('the eos_token "[SEP]" is not among its added_tokens'),
  });
  await expect(load({ model: { type: "Rhyme" } })).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringMatching(/tokenizer\.json: [\s\S]*model\.type/),
  });
});
