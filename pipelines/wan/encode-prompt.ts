import { modelInvalid } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { checkShape, isFiniteData, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { TokenizedText } from "#pipelines/text/t5-tokenizer.ts";

/** What the transformer is conditioned on; positions beyond the text are zero and not kept. */
export interface PromptEmbedding {
  /** `[tokens, width]`: one row for every token that was read, its end mark included. */
  readonly hidden: Tensor;
  /** Tokens at the end of the prompt that the encoder has no room for. */
  readonly cutTokens: number;
}

/**
 * Runs the text encoder on one prompt. Its output beyond the real length is dropped, since the transformer was trained
 * on zeros there (`_get_t5_prompt_embeds` of diffusers' `WanPipeline`).
 * @throws PipelineError MODEL_INVALID when the encoder's output is no such thing
 */
export async function encodePrompt(textEncoder: Component, text: TokenizedText): Promise<PromptEmbedding> {
  const { last_hidden_state: output } = await textEncoder.run(
    { input_ids: text.inputIds, attention_mask: text.attentionMask },
    ["last_hidden_state"],
  );
  checkShape("last_hidden_state", output.dims, [1, text.inputIds.data.length, -1]);
  const width = output.dims[2] ?? 0;
  const hidden = output.data.slice(0, text.length * width);
  if (!isFiniteData(hidden)) {
    throw modelInvalid(textEncoder.path, "its output is not finite: text encoders of this family overflow in float16");
  }
  return { hidden: tensor(hidden, [text.length, width]), cutTokens: text.cutTokens };
}

/** `[1, maxLength, width]`, with zeros after the text. */
export function padEmbedding({ hidden }: PromptEmbedding, maxLength: number): Tensor {
  const [, width = 0] = hidden.dims;
  const data = new Float32Array(maxLength * width);
  data.set(hidden.data);
  return tensor(data, [1, maxLength, width]);
}
