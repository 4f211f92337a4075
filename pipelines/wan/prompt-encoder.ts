import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import { filesKey } from "#pipelines/core/files-key.ts";
import { tensor } from "#pipelines/core/tensor.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import { cleanPrompt } from "#pipelines/text/clean-prompt.ts";
import { T5Tokenizer } from "#pipelines/text/t5-tokenizer.ts";
import { encodePrompt, type PromptEmbedding } from "./encode-prompt.ts";
import { files } from "./model-folder.ts";

/** Tokens that the transformer attends to, whatever the prompt's length. */
export const maxPromptTokens = 512;

/** Prompts to embeddings. What encodes them is loaded at the first prompt that the cache does not know. */
export class PromptEncoder {
  readonly #folder: string;
  readonly #components: ComponentSet;
  readonly #modelKey: string;
  readonly #cache: EmbeddingCache;
  #tokenizer: T5Tokenizer | undefined;

  private constructor(folder: string, components: ComponentSet, modelKey: string, cache: EmbeddingCache) {
    this.#folder = folder;
    this.#components = components;
    this.#modelKey = modelKey;
    this.#cache = cache;
  }

  static async create(folder: string, components: ComponentSet, cache: EmbeddingCache): Promise<PromptEncoder> {
    const key = await filesKey(["text_encoder", "tokenizer"].map((name) => join(folder, name)));
    return new PromptEncoder(folder, components, key, cache);
  }

  /** Reads what encodes prompts, so that a folder without it fails before a job does. */
  async load(): Promise<void> {
    await this.#loadTokenizer();
    await this.#components.get(files.textEncoder);
  }

  /**
   * Embeddings of the prompts, in their order.
   * @throws PipelineError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE; the signal's reason, between two prompts
   */
  async encode(prompts: readonly string[], signal: AbortSignal | undefined): Promise<PromptEmbedding[]> {
    const embeddings: PromptEmbedding[] = [];
    for (const prompt of prompts) {
      signal?.throwIfAborted();
      embeddings.push(await this.#encodeOne(cleanPrompt(prompt)));
      await setImmediate();
    }
    signal?.throwIfAborted();
    return embeddings;
  }

  async #encodeOne(text: string): Promise<PromptEmbedding> {
    const key = EmbeddingCache.keyOf([this.#modelKey, text, String(maxPromptTokens)]);
    const known = await this.#cache.get(key);
    if (known !== undefined) {
      const { rows, width, cutTokens } = known;
      return { hidden: tensor(rows, [rows.length / width, width]), cutTokens };
    }
    const tokenized = (await this.#loadTokenizer()).encode(text, maxPromptTokens);
    const embedding = await encodePrompt(await this.#components.get(files.textEncoder), tokenized);
    const { hidden, cutTokens } = embedding;
    await this.#cache.set(key, { rows: hidden.data, width: hidden.dims[1] ?? 1, cutTokens });
    return embedding;
  }

  async #loadTokenizer(): Promise<T5Tokenizer> {
    this.#tokenizer ??= await T5Tokenizer.load(join(this.#folder, "tokenizer"));
    return this.#tokenizer;
  }
}
