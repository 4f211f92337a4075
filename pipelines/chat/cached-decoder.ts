import { modelUnsuitable } from "#pipelines/core/errors.ts";
import type { Component, Feed } from "#pipelines/core/onnx.ts";
import { type IntTensor, release } from "#pipelines/core/tensor.ts";
import { startCache, type TokenCache } from "./token-cache.ts";

/** Inputs that are neither the tokens' own nor the cache. */
const known = ["input_ids", "attention_mask", "position_ids", "num_logits_to_keep"];
const pastName = /^past_key_values\.(\d+)\.(key|value)$/;

/** Logits of a whole part of a prompt are held together: of a large vocabulary that is 64 MB for 100 tokens. */
const maxLogitBytes = 64 * 2 ** 20;

/** A part of a prompt that is read in one run, within which nothing can be aborted. */
const defaultPartTokens = 256;

/** A causal language model that reads tokens one part after another: its ONNX graph, with keys and values of the past. */
export class CachedDecoder {
  readonly #component: Component;
  /** Inputs that are the cache's. */
  readonly #past: readonly string[];
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
    this.#past = past;
    const makesAll = !names.includes("num_logits_to_keep");
    const fitting = Math.max(1, Math.floor(maxLogitBytes / (4 * vocabularySize)));
    this.#partTokens = makesAll ? Math.min(partTokens, fitting) : partTokens;
  }

  /** A cache without a token. */
  start(): TokenCache {
    return startCache(this.#component, this.#past);
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
    const positions = Int32Array.from(ids, (_, index) => cache.length + index);
    // Places of the cache that no token has yet are not looked at.
    const mask = new Int32Array(cache.places + ids.length).fill(1).fill(0, cache.length, cache.places);
    const given: Record<string, IntTensor> = {
      input_ids: { data: ids, dims: [1, ids.length] },
      attention_mask: { data: mask, dims: [1, mask.length] },
      position_ids: { data: positions, dims: [1, ids.length] },
      num_logits_to_keep: { data: Int32Array.of(1), dims: [] },
    };
    const feeds: Record<string, Feed> = { ...cache.values };
    for (const name of known) if (given[name] && this.#component.inputs.has(name)) feeds[name] = given[name];
    const { outputs, next } = await this.#component.runKeeping(feeds, ["logits"], cache.kept);
    cache.add(next, ids.length);
    const { data, dims } = outputs.logits;
    const vocabulary = dims.at(-1) ?? 0;
    if (data.length === vocabulary) return data;
    const scores = data.slice(data.length - vocabulary);
    release(outputs.logits);
    return scores;
  }
}
