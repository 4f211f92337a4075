import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelNotFound } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { IntTensor } from "#pipelines/core/tensor.ts";
import {
  normalizerDefinition,
  preTokenizerDefinition,
  splitIntoWords,
  type TextStage,
  textStages,
} from "./sentencepiece/stages.ts";
import { Unigram } from "./sentencepiece/unigram.ts";

const tokenizerFile = z.object({
  added_tokens: z.array(z.object({ id: z.int(), content: z.string().min(1), normalized: z.boolean().default(false) })),
  normalizer: normalizerDefinition,
  pre_tokenizer: preTokenizerDefinition,
  model: z.object({
    type: z.literal("Unigram"),
    unk_id: z.int().nonnegative(),
    vocab: z.array(z.tuple([z.string(), z.number()])).min(1),
    byte_fallback: z.boolean().default(false),
  }),
});

type TokenizerFile = z.output<typeof tokenizerFile>;

const specialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);

const tokenizerConfig = z.looseObject({
  eos_token: specialToken.nullish(),
  pad_token: specialToken.nullish(),
});

const defaultMarks = { eos_token: "</s>", pad_token: "<pad>" };

/** A text as an encoder of the T5 family reads it. */
export interface TokenizedText {
  /** `[1, maxLength]`, filled up with the pad token. */
  readonly inputIds: IntTensor;
  /** `[1, maxLength]`: 1 for the text and its end mark, 0 for the filling. */
  readonly attentionMask: IntTensor;
  /** Tokens that are read, with the end mark. */
  readonly length: number;
  /** Tokens at the end of the text that are not. */
  readonly cutTokens: number;
}

/**
 * Tokenizes as transformers' `T5TokenizerFast` and its like do from a `tokenizer.json` of a Unigram model. Not by the
 * library that reads CLIP's: that one spells no unknown text in bytes, and only resembles the precompiled normalisation.
 */
export class T5Tokenizer {
  readonly #stages: readonly TextStage[];
  readonly #words: TokenizerFile["pre_tokenizer"];
  readonly #model: Unigram;
  /** Added tokens, which are found in the text as it is written. */
  readonly #verbatim: ReadonlyMap<string, number>;
  readonly #verbatimPattern: RegExp;
  readonly #endId: number;
  readonly #padId: number;

  private constructor(file: TokenizerFile, endId: number, padId: number) {
    this.#stages = textStages(file.normalizer);
    this.#words = file.pre_tokenizer;
    this.#model = new Unigram(file.model);
    this.#verbatim = new Map(file.added_tokens.map(({ content, id }) => [content, id]));
    const byLength = [...this.#verbatim.keys()].sort((one, other) => other.length - one.length);
    this.#verbatimPattern = new RegExp(`(${byLength.map((content) => RegExp.escape(content)).join("|")})`, "u");
    this.#endId = endId;
    this.#padId = padId;
  }

  /**
   * Reads a tokenizer folder: `tokenizer.json`, with `tokenizer_config.json` where it is.
   * @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID naming the file
   */
  static async load(folder: string): Promise<T5Tokenizer> {
    const path = join(folder, "tokenizer.json");
    const file = await readJson(path, tokenizerFile);
    if (file === undefined) throw modelNotFound("the tokenizer", path);
    const config = (await readJson(join(folder, "tokenizer_config.json"), tokenizerConfig)) ?? {};
    const idOf = (name: "eos_token" | "pad_token") => {
      const content = config[name] ?? defaultMarks[name];
      const token = file.added_tokens.find((added) => added.content === content);
      if (token === undefined) throw modelInvalid(path, `the ${name} "${content}" is not among its added_tokens`);
      return token.id;
    };
    const [endId, padId] = [idOf("eos_token"), idOf("pad_token")];
    try {
      return new T5Tokenizer(file, endId, padId);
    } catch (error) {
      throw modelInvalid(
        path,
        `the tokenizer cannot be made (${error instanceof Error ? error.message : error})`,
        error,
      );
    }
  }

  /** @param maxLength tokens that the encoder reads at once, the end mark included; a longer text is cut */
  encode(text: string, maxLength: number): TokenizedText {
    const ids = this.#idsOf(text);
    const kept = ids.slice(0, maxLength - 1);
    const inputIds = new Int32Array(maxLength).fill(this.#padId);
    inputIds.set([...kept, this.#endId]);
    const length = kept.length + 1;
    const dims = [1, maxLength];
    return {
      inputIds: { data: inputIds, dims },
      attentionMask: { data: new Int32Array(maxLength).fill(1, 0, length), dims },
      length,
      cutTokens: ids.length - kept.length,
    };
  }

  #idsOf(text: string): number[] {
    return text.split(this.#verbatimPattern).flatMap((section, index) => {
      const added = this.#verbatim.get(section);
      if (added !== undefined) return added;
      const normalized = this.#stages.reduce((current, stage) => stage(current), section);
      if (normalized === "") return [];
      return splitIntoWords(normalized, index === 0, this.#words).flatMap((word) => this.#model.encode(word));
    });
  }
}
