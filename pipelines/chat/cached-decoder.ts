import { modelUnsuitable } from "#pipelines/core/errors.ts";
import type { Component, Feed, InputSpec, PreparedInput } from "#pipelines/core/onnx.ts";
import { type IntTensor, release } from "#pipelines/core/tensor.ts";

/** Inputs that are neither the tokens' own nor the cache. */
const known = ["input_ids", "attention_mask", "position_ids", "num_logits_to_keep"];
const pastName = /^past_key_values\.(\d+)\.(key|value)$/;

/** Logits of a whole part of a prompt are held together: of a large vocabulary that is 64 MB for 100 tokens. */
const maxLogitBytes = 64 * 2 ** 20;

/** A part of a prompt that is read in one run, within which nothing can be aborted. */
const defaultPartTokens = 256;

/** What a model remembers of the tokens that it has read. */
export class TokenCache {
  /** Keys and values by the name of the input, `[1, heads, length, width]`. */
  values: Readonly<Record<string, PreparedInput>>;
  length = 0;

  constructor(values: Readonly<Record<string, PreparedInput>>) {
    this.values = values;
  }

  /** Gives the memory back at once. */
  release(): void {
    for (const value of Object.values(this.values)) value.release();
  }
}

/** A causal language model that reads tokens one part after another: its ONNX graph, with keys and values of the past. */
export class CachedDecoder {
  readonly #component: Component;
  /** Output by the input that it becomes. */
  readonly #kept: Readonly<Record<string, string>>;
  readonly #partTokens: number;

  /**
   * @param vocabularySize scores of one token
   * @throws PipelineError MODEL_UNSUITABLE when the graph needs what a language model with a cache does not have
   */
  constructor(component: Component, vocabularySize: number, partTokens = defaultPartTokens) {
    this.#component = component;
    const names = [...component.inputs.keys()];
    const past = names.filter((name) => pastName.test(name));
    const unknown = names.filter((name) => !known.includes(name) && !pastName.test(name));
    const required = ["input_ids", "attention_mask"].filter((name) => !names.includes(name));
    if (unknown.length > 0 || required.length > 0 || past.length === 0) {
      const problem =
        unknown.length > 0
          ? `the graph also needs ${unknown.slice(0, 4).join(", ")}${unknown.length > 4 ? " and others" : ""}`
          : `the graph has no ${[...required, ...(past.length === 0 ? ["past_key_values"] : [])].join(", no ")}`;
      throw modelUnsuitable(
        component.path,
        `${problem}; this pipeline runs causal language models with ${known.slice(0, 3).join(", ")} and past_key_values. Export it for text generation with past.`,
      );
    }
    this.#kept = Object.fromEntries(past.map((name) => [name, name.replace("past_key_values", "present")]));
    const makesAll = !names.includes("num_logits_to_keep");
    const fitting = Math.max(1, Math.floor(maxLogitBytes / (4 * vocabularySize)));
    this.#partTokens = makesAll ? Math.min(partTokens, fitting) : partTokens;
  }

  /** A cache without a token. */
  start(): TokenCache {
    const values = Object.keys(this.#kept).map((name) => [name, this.#component.prepare(name, this.#nothing(name))]);
    return new TokenCache(Object.fromEntries(values));
  }

  /** The parts in which a prompt is read, one run each. */
  partsOf(ids: readonly number[]): Int32Array[] {
    const parts: Int32Array[] = [];
    for (let start = 0; start < ids.length; start += this.#partTokens)
      parts.push(Int32Array.from(ids.slice(start, start + this.#partTokens)));
    return parts;
  }

  /**
   * Reads tokens after those in the cache, which then has them too.
   * @returns the scores of the token that follows the last one, over the whole vocabulary
   */
  async read(ids: Int32Array, cache: TokenCache): Promise<Float32Array> {
    const length = cache.length + ids.length;
    const positions = Int32Array.from(ids, (_, index) => cache.length + index);
    const given: Record<string, IntTensor> = {
      input_ids: { data: ids, dims: [1, ids.length] },
      attention_mask: { data: new Int32Array(length).fill(1), dims: [1, length] },
      position_ids: { data: positions, dims: [1, ids.length] },
      num_logits_to_keep: { data: Int32Array.of(1), dims: [] },
    };
    const feeds: Record<string, Feed> = { ...cache.values };
    for (const name of known) if (given[name] && this.#component.inputs.has(name)) feeds[name] = given[name];
    const { outputs, next } = await this.#component.runKeeping(feeds, ["logits"], this.#kept);
    cache.release();
    cache.values = next;
    cache.length = length;
    const { data, dims } = outputs.logits;
    const scores = data.slice(data.length - (dims.at(-1) ?? 0));
    release(outputs.logits);
    return scores;
  }

  #nothing(name: string) {
    const { shape }: Pick<InputSpec, "shape"> = this.#component.inputs.get(name) ?? { shape: [] };
    const dims = shape.map((size, axis) => (typeof size === "number" ? size : axis === 0 ? 1 : 0));
    return { data: new Float32Array(0), dims };
  }
}
