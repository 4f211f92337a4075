import { attentionBiasName, type FloatType, withAttentionBias } from "#pipelines/core/attention-bias.ts";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import { invalidJob, modelInvalid, numericalError, PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import type { Component, Feed } from "#pipelines/core/onnx.ts";
import { type IntTensor, isFiniteData, type Tensor } from "#pipelines/core/tensor.ts";
import type { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";

const maskName = "attention_mask";
const pooledName = "text_embeds";

/** Added to the score of a token that nobody may attend to; float16 has it too. */
const hidden = -1e4;

export interface Encoded {
  /** `[chunks, length, width]`, of the layer that was asked for. */
  readonly hidden: Tensor;
  /** `[chunks, projection]`, from an encoder that projects. */
  readonly pooled: Tensor | undefined;
}

/** One of SDXL's two text encoders with its tokenizer. */
export class TextEncoder {
  readonly tokenizer: ClipTokenizer;
  /** Path in the model folder. */
  readonly file: string;
  readonly #components: ComponentSet;

  constructor(tokenizer: ClipTokenizer, components: ComponentSet, file: string) {
    this.tokenizer = tokenizer;
    this.#components = components;
    this.file = file;
  }

  /**
   * The hidden states before the last layer, or `clipSkip` layers further down, and the pooled output.
   * @param ids `[chunks, length]`
   * @throws PipelineError INVALID_JOB when clip skip leaves no layer, NUMERICAL_ERROR when the encoder overflows
   */
  async encode(ids: IntTensor, clipSkip: number): Promise<Encoded> {
    const model = await this.#components.get(this.file);
    return this.#run(model, ids, clipSkip, new Uint8Array(ids.data.length).fill(1));
  }

  /**
   * The same of one chunk of which no token attends to the masked ones.
   * @param ids `[1, length]`
   * @param mask 1 for a token that stays, 0 for a masked one
   * @throws PipelineError UNSUPPORTED_OPTION when the model's attention cannot be masked; what `encode` throws
   */
  async encodeMasked(ids: IntTensor, clipSkip: number, mask: Uint8Array): Promise<Tensor> {
    const model = await this.#components.get(this.file);
    const takesMask = model.inputs.has(maskName) || model.inputs.has(attentionBiasName);
    return (await this.#run(takesMask ? model : await this.#loadMaskable(), ids, clipSkip, mask)).hidden;
  }

  async #run(model: Component, ids: IntTensor, clipSkip: number, mask: Uint8Array): Promise<Encoded> {
    const feeds: Record<string, Feed> = { input_ids: ids };
    if (model.inputs.has(maskName)) feeds[maskName] = { data: Int32Array.from(mask), dims: ids.dims };
    if (model.inputs.has(attentionBiasName)) {
      const length = ids.dims[1] ?? 0;
      // One row for all chunks: more than one chunk is only run without a mask.
      const data = Float32Array.from(mask.subarray(0, length), (kept) => (kept === 1 ? 0 : hidden));
      feeds[attentionBiasName] = { data, dims: [1, 1, length] };
    }
    const layer = hiddenStateName(model, clipSkip);
    const projects = model.outputs.includes(pooledName);
    const results = await model.run(feeds, projects ? [layer, pooledName] : [layer]);
    const states = results[layer];
    if (states === undefined) throw new RangeError(`${model.path} returned no ${layer}`);
    const pooled = projects ? results[pooledName] : undefined;
    if (!isFiniteData(states.data) || (pooled !== undefined && !isFiniteData(pooled.data))) {
      throw numericalError(
        `the prompt as ${this.file} encodes it, before the first step`,
        "Text encoders that overflow in float16 do this: export it in float32, or lower the strength of LoRAs.",
      );
    }
    return { hidden: states, pooled };
  }

  /** The model with a mask, in the place of the one without: a second copy would take memory for jobs that are rare. */
  async #loadMaskable(): Promise<Component> {
    const rewriteFor = (type: FloatType) => (model: Uint8Array) => {
      const rewritten = withAttentionBias(model, type);
      if (rewritten !== undefined) return rewritten;
      throw unsupportedOption(
        `${this.file}: weights below 1 need an attention mask, and this file neither takes one nor has attention in which one can be put; export the model without fused operators`,
      );
    };
    const load = async (type: FloatType) => {
      await this.#components.rewrite(this.file, rewriteFor(type));
      return this.#components.get(this.file);
    };
    try {
      // The file does not say in which precision it computes; a session of the wrong one is refused.
      return await load("float32").catch((error: unknown) => {
        if (isOtherPrecision(error)) return load("float16");
        throw error;
      });
    } catch (error) {
      await this.#components.rewrite(this.file, undefined);
      throw error;
    }
  }
}

/** ONNX Runtime's words for a sum of two data types. */
function isOtherPrecision(error: unknown): boolean {
  return (
    error instanceof PipelineError &&
    error.code === "MODEL_INVALID" &&
    error.message.includes("bound to different types")
  );
}

/** Output name of the hidden states before the last layer, `clipSkip` layers further down. */
function hiddenStateName(model: Component, clipSkip: number): string {
  const states = model.outputs.filter((name) => name.startsWith("hidden_states.")).length;
  if (states === 0) throw modelInvalid(model.path, "there are no hidden_states outputs; export it with hidden states");
  const layer = states - 2 - clipSkip;
  if (layer < 0) throw invalidJob(`clip_skip must be at most ${states - 2} for this model, not ${clipSkip}`);
  return `hidden_states.${layer}`;
}
