import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { modelInvalid, type PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import { checkEqual, readConfig } from "#pipelines/diffusion/model-configs.ts";
import { type ClipProcessorConfig, checkClipSize, clipProcessorConfig } from "#pipelines/images/clip-pixels.ts";
import { type DepthProcessorConfig, depthProcessorConfig } from "#pipelines/images/depth-picture.ts";

/** What the UNet's config says of its further inputs. */
const unetConfig = z.object({
  /** This project's own key: the UNet was exported with inputs for a ControlNet's residuals. */
  controlnet_residuals: z.boolean().default(false),
  /** diffusers' key: `ip_image_proj` for a UNet that an IP-Adapter was put into. */
  encoder_hid_dim_type: z.string().nullish(),
  block_out_channels: z.array(z.int().positive()).optional(),
  layers_per_block: z.unknown(),
  cross_attention_dim: z.int().positive(),
  projection_class_embeddings_input_dim: z.int().positive(),
});

type UnetFields = z.output<typeof unetConfig>;

const controlNetConfig = z.object({
  _class_name: z.literal("ControlNetModel", "only ControlNetModel is run").optional(),
  in_channels: z.int().positive().default(4),
  conditioning_channels: z.literal(3, "only pictures with 3 channels are given").default(3),
  cross_attention_dim: z.int().positive(),
  projection_class_embeddings_input_dim: z.int().positive(),
  block_out_channels: z.array(z.int().positive()),
  layers_per_block: z.unknown(),
});

const imageEncoderConfig = z.object({ image_size: z.int().positive() });

/** What a model draws by beside a prompt; most have nothing of it. */
export interface ConditionParts {
  /** Kinds of pictures that there is a ControlNet for: `canny` is in `controlnet_canny/`. */
  readonly controlNets: readonly string[];
  /** How pictures are prepared for the image encoder, in models with an IP-Adapter. */
  readonly imageProcessor: ClipProcessorConfig | undefined;
  /** How pictures are prepared for the depth estimator, in models that have one. */
  readonly depthProcessor: DepthProcessorConfig | undefined;
}

/** Of a ControlNet in `controlnet/`, which says nothing of its kind: it takes ready-made pictures alone. */
const unnamedControlNet = "controlnet";

/** Path in the model folder. */
export function controlNetFile(name: string): string {
  return `${controlNetFolder(name)}/model.onnx`;
}

function controlNetFolder(name: string): string {
  return name === unnamedControlNet ? name : `controlnet_${name}`;
}

/** What a job that names a ControlNet is told by a model that does not have it. */
export function noControlNet(
  { path, controlNets }: { readonly path: string } & Pick<ConditionParts, "controlNets">,
  name: string,
): PipelineError {
  const known = controlNets.length === 0 ? "none" : controlNets.join(", ");
  return unsupportedOption(
    `the model ${basename(path)} has no ControlNet for ${name}; of those it has: ${known}. Export it again with --controlnet, or leave the control picture out`,
  );
}

export const imageEncoderFile = "image_encoder/model.onnx";
export const depthEstimatorFile = "depth_estimator/model.onnx";
/** Makes previews; loaded for the first job that reports any. */
export const tinyDecoderFile = "vae_decoder_tiny/model.onnx";

/**
 * Reads what is there of the optional parts.
 * @param latentChannels what a ControlNet is shown of the latents
 * @throws PipelineError MODEL_INVALID naming the part and what does not fit, MODEL_NOT_FOUND
 */
export async function readConditionParts(path: string, latentChannels: number): Promise<ConditionParts> {
  const unet = await readConfig(join(path, "unet/config.json"), unetConfig);
  const controlNets = await namesOf(path);
  for (const name of controlNets) await checkControlNet(path, name, unet, latentChannels);
  return {
    controlNets,
    imageProcessor: await readImageProcessor(path, unet),
    depthProcessor: await readDepthProcessor(path),
  };
}

async function namesOf(path: string): Promise<string[]> {
  // In one order on every file system: it is that of messages, too.
  const folders = (await readdir(path)).toSorted();
  return folders.flatMap((folder) => {
    const match = /^controlnet(?:_([a-z0-9_]+))?$/.exec(folder);
    return match === null ? [] : [match[1] ?? unnamedControlNet];
  });
}

async function checkControlNet(path: string, name: string, unet: UnetFields, latentChannels: number): Promise<void> {
  const file = join(path, controlNetFolder(name), "config.json");
  const config = await readConfig(file, controlNetConfig);
  const check = (key: string, actual: number, expected: number) =>
    checkEqual(file, key, actual, "the UNet's", expected);
  checkEqual(file, "in_channels", config.in_channels, "the VAE's latent_channels", latentChannels);
  check("cross_attention_dim", config.cross_attention_dim, unet.cross_attention_dim);
  check(
    "projection_class_embeddings_input_dim",
    config.projection_class_embeddings_input_dim,
    unet.projection_class_embeddings_input_dim,
  );
  for (const key of ["block_out_channels", "layers_per_block"] as const) {
    const [own, other] = [JSON.stringify(config[key]), JSON.stringify(unet[key])];
    if (own !== other) throw modelInvalid(file, `${key} is ${own}, but the UNet's is ${other}`);
  }
  if (unet.controlnet_residuals) return;
  throw modelInvalid(
    join(path, "unet/config.json"),
    `there is a ControlNet (${controlNetFolder(name)}/), but the UNet was exported without inputs for one: export it again with --controlnet`,
  );
}

async function readImageProcessor(path: string, unet: UnetFields): Promise<ClipProcessorConfig | undefined> {
  const encoderPath = join(path, "image_encoder/config.json");
  const encoder = await readJson(encoderPath, imageEncoderConfig);
  const hasAdapter = unet.encoder_hid_dim_type === "ip_image_proj";
  if (encoder === undefined) {
    if (!hasAdapter) return undefined;
    throw modelInvalid(
      join(path, "unet/config.json"),
      "the UNet has an IP-Adapter, but there is no image_encoder/: export both with --ip-adapter and --image-encoder",
    );
  }
  if (!hasAdapter) {
    throw modelInvalid(
      encoderPath,
      "there is an image encoder, but the UNet was exported without an IP-Adapter: export it again with --ip-adapter",
    );
  }
  const processorPath = join(path, "feature_extractor/preprocessor_config.json");
  const processor = await readConfig(processorPath, clipProcessorConfig);
  checkClipSize(processorPath, processor, encoder.image_size);
  return processor;
}

async function readDepthProcessor(path: string): Promise<DepthProcessorConfig | undefined> {
  if (!existsSync(join(path, depthEstimatorFile))) return undefined;
  return readConfig(join(path, "depth_estimator/preprocessor_config.json"), depthProcessorConfig);
}
