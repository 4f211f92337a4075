import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { modelInvalid, modelNotFound } from "../errors.ts";
import { readJson } from "../json-file.ts";

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

type AddedToken = z.output<typeof addedToken>;

/** What a tokenizer folder holds, whichever files it comes in. */
interface Vocabulary {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly string[])[];
  readonly addedTokens: readonly AddedToken[];
}

/** CLIP's word pattern: the marks, English suffixes, letters, single digits, anything else that is no space. */
const clipWordPattern =
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/**
 * The word pattern of the byte-level stage; of CLIP's words it takes only the marks apart. Stated here because the
 * library's own one reads white space as JavaScript does, U+FEFF included.
 */
const byteLevelWordPattern = "[\\p{L}]+|[\\p{N}]+|'[\\p{L}]+|[^\\s\\p{L}\\p{N}]+";

/** CLIP's marks, where the files name none. */
const startMark = addedToken.parse({ content: "<|startoftext|>" });
const endMark = addedToken.parse({ content: "<|endoftext|>" });

/** Positions of a CLIP text encoder where the files do not say. */
const defaultMaxLength = 77;

/** Tokenizes as transformers' `CLIPTokenizer` does. */
export class ClipTokenizer {
  readonly beginId: number;
  readonly endId: number;
  readonly padId: number;
  /** Tokens of one chunk with its begin and end token: 77. */
  readonly maxLength: number;
  readonly #tokenizer: Tokenizer;
  /** Special tokens that are found in the text as it is written, before it is normalised. */
  readonly #verbatim: ReadonlyMap<string, number>;
  readonly #verbatimPattern: RegExp;

  private constructor(
    tokenizer: Tokenizer,
    verbatim: ReadonlyMap<string, number>,
    ids: { begin: number; end: number; pad: number },
    maxLength: number,
  ) {
    this.#tokenizer = tokenizer;
    this.#verbatim = verbatim;
    this.#verbatimPattern = new RegExp(`(${[...verbatim.keys()].map(RegExp.escape).join("|") || "(?!)"})`, "u");
    this.beginId = ids.begin;
    this.endId = ids.end;
    this.padId = ids.pad;
    this.maxLength = maxLength;
  }

  /**
   * Reads a tokenizer folder: `tokenizer.json`, or `vocab.json` and `merges.txt`, with `tokenizer_config.json` and
   * `special_tokens_map.json` where they are.
   * @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID naming the file
   */
  static async load(folder: string): Promise<ClipTokenizer> {
    const config =
      (await readJson(join(folder, "tokenizer_config.json"), tokenizerConfig)) ?? tokenizerConfig.parse({});
    const map = (await readJson(join(folder, "special_tokens_map.json"), specialTokensMap)) ?? {};
    const special = {
      bos_token: config.bos_token ?? map.bos_token ?? startMark,
      eos_token: config.eos_token ?? map.eos_token ?? endMark,
      unk_token: config.unk_token ?? map.unk_token ?? endMark,
      pad_token: config.pad_token ?? map.pad_token ?? endMark,
    };
    const stored = await readVocabulary(folder);
    const listed = stored.addedTokens.length > 0 ? stored.addedTokens : Object.values(config.added_tokens_decoder);
    const added = withIds(withSpecialTokens(listed, Object.values(special)), stored.vocab, folder);
    const [normalized, verbatim] = [
      added.filter((token) => token.normalized),
      added.filter((token) => !token.normalized),
    ];
    const tokenizer = new Tokenizer(
      clipDefinition({ ...stored, addedTokens: normalized }, special.unk_token.content),
      {},
    );
    const idOf = (token: AddedToken) => added.find(({ content }) => content === token.content)?.id ?? 0;
    // Some files state 10^30 for "no limit".
    const stated = config.model_max_length ?? defaultMaxLength;
    return new ClipTokenizer(
      tokenizer,
      new Map(verbatim.map(({ content, id }) => [content, id])),
      { begin: idOf(special.bos_token), end: idOf(special.eos_token), pad: idOf(special.pad_token) },
      stated > 1e6 ? defaultMaxLength : stated,
    );
  }

  /** Token ids of a text of any length, without begin and end token. */
  encode(text: string): number[] {
    // Split here and not by the library, which also takes a section that only normalises to the token for it.
    return text.split(this.#verbatimPattern).flatMap((section) => {
      const special = this.#verbatim.get(section);
      if (special !== undefined) return special;
      // The reference lower-cases letter by letter; JavaScript would turn a capital sigma at a word's end into ς.
      return this.#tokenizer.encode(section.replaceAll("Σ", "σ"), { add_special_tokens: false }).ids;
    });
  }
}

async function readVocabulary(folder: string): Promise<Vocabulary> {
  const file = await readJson(join(folder, "tokenizer.json"), tokenizerFile);
  if (file !== undefined) return { ...file.model, addedTokens: file.added_tokens };
  const vocabularyPath = join(folder, "vocab.json");
  const vocab = await readJson(vocabularyPath, vocabularyFile);
  if (vocab === undefined) throw modelNotFound("the tokenizer's vocabulary", vocabularyPath);
  return { vocab, merges: await readMerges(join(folder, "merges.txt")), addedTokens: [] };
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
function withSpecialTokens(listed: readonly AddedToken[], special: readonly AddedToken[]): AddedToken[] {
  const known = new Set(listed.map((token) => token.content));
  const missing = new Map(special.filter((token) => !known.has(token.content)).map((token) => [token.content, token]));
  return [...listed, ...missing.values()];
}

function withIds(
  tokens: readonly AddedToken[],
  vocab: Readonly<Record<string, number>>,
  folder: string,
): (AddedToken & { readonly id: number })[] {
  return tokens.map((token) => {
    const id = vocab[token.content];
    if (id === undefined) throw modelInvalid(folder, `the special token "${token.content}" is not in the vocabulary`);
    return { ...token, id };
  });
}

/** The definition that transformers' `CLIPTokenizer` builds around a vocabulary, in the form of `tokenizer.json`. */
function clipDefinition(vocabulary: Vocabulary, unknownToken: string): object {
  return {
    added_tokens: vocabulary.addedTokens.map((token) => ({ ...token, special: true })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: clipWordPattern }, behavior: "Removed", invert: true },
        { type: "Split", pattern: { Regex: byteLevelWordPattern }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      unk_token: unknownToken,
      end_of_word_suffix: "</w>",
      vocab: vocabulary.vocab,
      merges: vocabulary.merges,
    },
  };
}
