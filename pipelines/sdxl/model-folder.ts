import { join } from "node:path";
import { z } from "zod";
import { modelUnsuitable } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { LatentScaling } from "#pipelines/diffusion/latent-scaling.ts";
import {
  checkEqual,
  readConfig,
  readLatentRgb,
  readNormalization,
  readSchedulerFile,
  type SchedulerFile,
  vaeFields,
} from "#pipelines/diffusion/model-configs.ts";
import type { LatentRgb } from "#pipelines/diffusion/preview.ts";

const modelIndex = z.object({
  _class_name: z.string(),
  force_zeros_for_empty_prompt: z.boolean().default(true),
});

const textEncoderConfig = z.object({
  hidden_size: z.int().positive(),
  projection_dim: z.int().positive(),
});

const unetConfig = z.object({
  in_channels: z.int().positive(),
  cross_attention_dim: z.int().positive(),
  addition_time_embed_dim: z.int().positive(),
  projection_class_embeddings_input_dim: z.int().positive(),
});

const vaeConfig = z.object({
  latent_channels: z.int().positive(),
  block_out_channels: z.array(z.int().positive()).min(1),
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullish(),
  ...vaeFields,
});

/** Of the tiny decoder that makes previews, an `AutoencoderTiny` of diffusers. */
const tinyDecoderConfig = z.object({
  latent_channels: z.int().positive(),
  scaling_factor: z.number().positive().default(1),
});

/** Size ids per image: original height and width, crop top and left, target height and width. */
export const timeIdCount = 6;

/** What the configs of an SDXL model folder say, checked against each other. */
export interface SdxlModelFolder {
  readonly path: string;
  /** An absent negative prompt becomes zeros instead of the embedding of an empty text. */
  readonly forceZerosForEmptyPrompt: boolean;
  /** Pixels per latent, on either axis: 8. */
  readonly vaeScaleFactor: number;
  readonly latentChannels: number;
  /** Width of both text encoders' hidden states, side by side. */
  readonly textWidth: number;
  /** Width of the pooled output. */
  readonly pooledWidth: number;
  /** The UNet is shown a mask and the rest of the picture beside the latents. */
  readonly isInpaintingUnet: boolean;
  readonly vae: LatentScaling & {
    /** How previews are made of the latents. */
    readonly latentRgb?: LatentRgb | undefined;
  };
  /** Makes previews; most models have none. */
  readonly tinyDecoder: { readonly scalingFactor: number } | undefined;
  readonly scheduler: SchedulerFile;
}

/** Looks at model folders as the pipeline does when it loads one; importing it loads no model code. */
export const modelCheck = {
  takes: (className: string): boolean => className.includes("StableDiffusionXL"),
  read: readModelFolder,
};

/**
 * Reads the configs of a model folder as diffusers and `optimum-cli export onnx` lay it out.
 * @throws PipelineError MODEL_NOT_FOUND naming the missing file, MODEL_UNSUITABLE when it is no SDXL model,
 *   MODEL_INVALID when its parts do not fit each other
 */
export async function readModelFolder(path: string): Promise<SdxlModelFolder> {
  const read = <Schema extends z.ZodType>(file: string, schema: Schema) => readConfig(join(path, file), schema);
  const index = await read("model_index.json", modelIndex);
  if (!modelCheck.takes(index._class_name)) {
    throw modelUnsuitable(path, `the model is a ${index._class_name}; this pipeline runs Stable Diffusion XL`);
  }
  const [textEncoder, textEncoder2] = [
    await read("text_encoder/config.json", textEncoderConfig),
    await read("text_encoder_2/config.json", textEncoderConfig),
  ];
  const unet = await read("unet/config.json", unetConfig);
  const vae = await read("vae_decoder/config.json", vaeConfig);
  const vaePath = join(path, "vae_decoder/config.json");
  const scheduler = await readSchedulerFile(path);
  const tinyDecoderPath = join(path, "vae_decoder_tiny/config.json");
  const tinyDecoder = await readJson(tinyDecoderPath, tinyDecoderConfig);

  const unetPath = join(path, "unet/config.json");
  const channels = vae.latent_channels;
  const isInpaintingUnet = unet.in_channels === 2 * channels + 1;
  if (!isInpaintingUnet) {
    checkEqual(unetPath, "in_channels", unet.in_channels, "the VAE's latent_channels", channels);
  }
  if (tinyDecoder !== undefined) {
    checkEqual(tinyDecoderPath, "latent_channels", tinyDecoder.latent_channels, "the VAE's latent_channels", channels);
  }
  const textWidth = textEncoder.hidden_size + textEncoder2.hidden_size;
  checkEqual(unetPath, "cross_attention_dim", unet.cross_attention_dim, "the text encoders' width", textWidth);
  const conditionWidth = timeIdCount * unet.addition_time_embed_dim + textEncoder2.projection_dim;
  checkEqual(
    unetPath,
    "projection_class_embeddings_input_dim",
    unet.projection_class_embeddings_input_dim,
    "the width of pooled text and size ids",
    conditionWidth,
  );
  return {
    path,
    forceZerosForEmptyPrompt: index.force_zeros_for_empty_prompt,
    vaeScaleFactor: 2 ** (vae.block_out_channels.length - 1),
    latentChannels: channels,
    textWidth,
    pooledWidth: textEncoder2.projection_dim,
    isInpaintingUnet,
    vae: {
      scalingFactor: vae.scaling_factor,
      shiftFactor: vae.shift_factor ?? 0,
      normalization: readNormalization(vaePath, vae, vae.latent_channels),
      latentRgb: readLatentRgb(vaePath, vae, vae.latent_channels),
    },
    tinyDecoder: tinyDecoder && { scalingFactor: tinyDecoder.scaling_factor },
    scheduler,
  };
}
