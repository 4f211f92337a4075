import { modelInvalid, numericalError } from "#pipelines/core/errors.ts";
import type { Component, PreparedInput } from "#pipelines/core/onnx.ts";
import { concat, isFiniteData, repeatBatch, type Tensor, tensor, zeros } from "#pipelines/core/tensor.ts";
import { type ClipProcessorConfig, clipPixels } from "#pipelines/images/clip-pixels.ts";
import type { SdxlImagePrompt } from "./request.ts";

/** The UNet's inputs for a picture beside the prompt. */
const embedsInput = "image_embeds";
const scaleInput = "ip_adapter_scale";

/** A picture as an IP-Adapter takes it, `[1, width]` or `[1, sequence, width]`. */
export interface ImageEmbeddings {
  readonly positive: Tensor;
  /** Of no picture, for guidance. */
  readonly negative: Tensor;
  readonly scale: number;
}

/**
 * Encodes a picture as diffusers' `encode_image` does: its embedding, and zeros for none; or, for adapters that look closer, the
 * hidden states of the layer before the last, and those of an empty picture. The encoder puts out what its adapter wants.
 * @throws PipelineError NUMERICAL_ERROR
 */
export async function encodeImagePrompt(
  encoder: Component,
  processor: ClipProcessorConfig,
  { picture, scale }: SdxlImagePrompt,
): Promise<ImageEmbeddings> {
  const pixels = clipPixels(picture, processor);
  const looksAtStates = !encoder.outputs.includes(embedsInput);
  const output = looksAtStates ? statesOutput(encoder) : embedsInput;
  const encode = async (values: Tensor): Promise<Tensor> => {
    const { [output]: made } = await encoder.run({ pixel_values: values }, [output]);
    if (made === undefined || !isFiniteData(made.data)) {
      throw numericalError(
        "the picture as the image encoder has encoded it",
        "Image encoders that overflow in float16 do this: export it in float32.",
      );
    }
    return tensor(made.data.slice(), made.dims);
  };
  const positive = await encode(pixels);
  const negative = looksAtStates ? await encode(zeros(pixels.dims)) : zeros(positive.dims);
  return { positive, negative, scale };
}

/**
 * The UNet's inputs for a picture, repeated for a batch; for a UNet that has them and a job without one, a picture that counts
 * nothing.
 * @throws PipelineError MODEL_INVALID when the UNet has no IP-Adapter, or another one than the encoder is for
 */
export function imagePromptInputs(
  unet: Component,
  imagePrompt: ImageEmbeddings | undefined,
  batch: number,
  halves: number,
): Record<string, PreparedInput> {
  const spec = unet.inputs.get(embedsInput);
  if (spec === undefined) {
    if (imagePrompt === undefined) return {};
    throw modelInvalid(unet.path, "it was exported without an IP-Adapter: export it again with --ip-adapter");
  }
  const inputs = (embeds: Tensor, scale: number) => ({
    [embedsInput]: unet.prepare(embedsInput, embeds),
    [scaleInput]: unet.prepare(scaleInput, tensor(Float32Array.of(scale), [])),
  });
  if (imagePrompt === undefined) {
    const dims = spec.shape.map((size) => (typeof size === "number" ? size : 1));
    return inputs(zeros(dims.with(0, halves * batch)), 0);
  }
  const { positive, negative, scale } = imagePrompt;
  if (positive.dims.length + 1 !== spec.shape.length) {
    throw modelInvalid(
      unet.path,
      "its IP-Adapter reads something else than image_encoder/model.onnx puts out: export both",
    );
  }
  const rows = (halves === 1 ? [positive] : [negative, positive]).map((part) => repeatBatch(asOnePicture(part), batch));
  return inputs(concat(rows, 0), scale);
}

/** `[1, …]` → `[1, 1, …]`: one picture. */
function asOnePicture({ data, dims }: Tensor): Tensor {
  return tensor(data, [1, ...dims]);
}

function statesOutput(encoder: Component): string {
  const states = encoder.outputs.find((name) => name.startsWith("hidden_states."));
  if (states !== undefined) return states;
  throw modelInvalid(
    encoder.path,
    "it puts out neither image_embeds nor hidden_states.…: export it again with --image-encoder",
  );
}
