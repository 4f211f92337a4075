import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { modelInvalid, modelNotFound } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { IntTensor } from "#pipelines/core/tensor.ts";

const tokenizerFile = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })),
  model: z.looseObject({ type: z.string() }),
});

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

/** Tokenizes as transformers' `T5TokenizerFast` and its like do from a `tokenizer.json` (SentencePiece as Unigram or BPE). */
export class T5Tokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #endId: number;
  readonly #padId: number;

  private constructor(tokenizer: Tokenizer, endId: number, padId: number) {
    this.#tokenizer = tokenizer;
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
    return new T5Tokenizer(createTokenizer(path, file, config), idOf("eos_token"), idOf("pad_token"));
  }

  /** @param maxLength tokens that the encoder reads at once, the end mark included; a longer text is cut */
  encode(text: string, maxLength: number): TokenizedText {
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
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
}

function createTokenizer(path: string, file: object, config: object): Tokenizer {
  try {
    return new Tokenizer(file, config);
  } catch (error) {
    throw modelInvalid(path, `the tokenizer cannot be made (${error instanceof Error ? error.message : error})`, error);
  }
}
