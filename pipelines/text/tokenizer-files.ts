import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelNotFound } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";

const addedToken = z.object({
  content: z.string(),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().default(false),
});

/** A special token as the config files write it: its text, or the text with flags. */
const specialToken = z.union([z.string().transform((content) => addedToken.parse({ content })), addedToken]);

const specialTokensMap = z.object({
  bos_token: specialToken.nullish(),
  eos_token: specialToken.nullish(),
  unk_token: specialToken.nullish(),
  pad_token: specialToken.nullish(),
});

const tokenizerConfig = specialTokensMap.extend({
  model_max_length: z.number().positive().nullish(),
  added_tokens_decoder: z.record(z.string(), addedToken).default({}),
});

const vocabularyFile = z.record(z.string(), z.int().nonnegative());

const tokenizerFile = z.object({
  added_tokens: z.array(addedToken).default([]),
  model: z.object({
    vocab: vocabularyFile,
    merges: z.array(z.union([z.string().transform((pair) => pair.split(" ", 2)), z.array(z.string()).length(2)])),
  }),
});

/** CLIP's marks, where the files name none. */
const startMark = addedToken.parse({ content: "<|startoftext|>" });
const endMark = addedToken.parse({ content: "<|endoftext|>" });

/** Positions of a CLIP text encoder where the files do not say. */
const defaultMaxLength = 77;

/** A token that is found whole in a text. */
export interface AddedToken extends z.output<typeof addedToken> {
  readonly id: number;
}

/** What the files of a CLIP tokenizer say, whichever files they are. */
export interface TokenizerFiles {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly string[])[];
  readonly addedTokens: readonly AddedToken[];
  readonly beginId: number;
  readonly endId: number;
  readonly padId: number;
  readonly unknownToken: string;
  /** Tokens that the text encoder reads at once. */
  readonly maxLength: number;
}

/**
 * Reads a tokenizer folder: `tokenizer.json`, or `vocab.json` and `merges.txt`, with `tokenizer_config.json` and
 * `special_tokens_map.json` where they are.
 * @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID naming the file
 */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const config = (await readJson(join(folder, "tokenizer_config.json"), tokenizerConfig)) ?? tokenizerConfig.parse({});
  const map = (await readJson(join(folder, "special_tokens_map.json"), specialTokensMap)) ?? {};
  const begin = config.bos_token ?? map.bos_token ?? startMark;
  const end = config.eos_token ?? map.eos_token ?? endMark;
  const unknown = config.unk_token ?? map.unk_token ?? endMark;
  const pad = config.pad_token ?? map.pad_token ?? endMark;

  const { vocab, merges, listed } = await readVocabulary(folder);
  const stated = listed.length > 0 ? listed : Object.values(config.added_tokens_decoder);
  const idOf = ({ content }: { readonly content: string }) => {
    const id = vocab[content];
    if (id === undefined) throw modelInvalid(folder, `the special token "${content}" is not in the vocabulary`);
    return id;
  };
  // Some files state 10^30 for "no limit".
  const maxLength = config.model_max_length ?? defaultMaxLength;
  return {
    vocab,
    merges,
    addedTokens: withSpecialTokens(stated, [begin, end, unknown, pad]).map((token) => ({ ...token, id: idOf(token) })),
    beginId: idOf(begin),
    endId: idOf(end),
    padId: idOf(pad),
    unknownToken: unknown.content,
    maxLength: maxLength > 1e6 ? defaultMaxLength : maxLength,
  };
}

async function readVocabulary(folder: string) {
  const file = await readJson(join(folder, "tokenizer.json"), tokenizerFile);
  if (file !== undefined) return { ...file.model, listed: file.added_tokens };
  const vocabularyPath = join(folder, "vocab.json");
  const vocab = await readJson(vocabularyPath, vocabularyFile);
  if (vocab === undefined) throw modelNotFound("the tokenizer's vocabulary", vocabularyPath);
  return { vocab, merges: await readMerges(join(folder, "merges.txt")), listed: [] };
}

async function readMerges(path: string): Promise<string[][]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw modelNotFound("the tokenizer's merges", path, error);
  });
  const lines = text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#version"));
  return lines.map((line) => line.split(" ", 2));
}

/**
 * transformers registers every special token, so that its text is one token wherever it stands: also a pad token "!".
 * Tokens listed by the files keep their flags; of those named twice (end mark and pad token), the last counts.
 */
function withSpecialTokens<Token extends { readonly content: string }>(
  listed: readonly Token[],
  special: readonly Token[],
): Token[] {
  const known = new Set(listed.map((token) => token.content));
  const missing = new Map(special.filter((token) => !known.has(token.content)).map((token) => [token.content, token]));
  return [...listed, ...missing.values()];
}
