import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelUnsuitable } from "#pipelines/core/errors.ts";
import { weightBytesOf } from "#pipelines/core/weight-bytes.ts";
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
  boundary_ratio: z.number().min(0).max(1).nullish(),
  expand_timesteps: z.boolean().nullish(),
  transformer_2: z.tuple([z.string().nullable(), z.string().nullable()]).nullish(),
});

const textEncoderConfig = z.object({ d_model: z.int().positive() });

const transformerConfig = z.object({
  patch_size: z.tuple([z.literal(1), z.int().positive(), z.int().positive()]),
  attention_head_dim: z.int().positive().multipleOf(2),
  in_channels: z.int().positive(),
  out_channels: z.int().positive(),
  text_dim: z.int().positive(),
  rope_max_seq_len: z.int().positive().default(1024),
});

const vaeConfig = z.object({
  z_dim: z.int().positive(),
  scale_factor_temporal: z.int().positive().nullish(),
  scale_factor_spatial: z.int().positive().nullish(),
  patch_size: z.int().positive().nullish(),
  ...vaeFields,
});

const schedulerNumbers = z.looseObject({ num_train_timesteps: z.int().positive().default(1000) });

/** The ONNX files of a model, as paths in its folder, in the order in which a run needs them. */
export const files = {
  textEncoder: "text_encoder/model.onnx",
  transformer: "transformer/model.onnx",
  transformer2: "transformer_2/model.onnx",
  vaeFirst: "vae_decoder/first.onnx",
  vaeNext: "vae_decoder/next.onnx",
} as const;

type TransformerConfig = z.output<typeof transformerConfig>;

/** What the configs of a WAN model folder say, checked against each other. */
export interface WanModelFolder {
  readonly path: string;
  /** Latents per token along frames, height and width: 1, 2, 2. */
  readonly patchSize: readonly [number, number, number];
  /** Width of one attention head. */
  readonly headDim: number;
  /** Tokens along one axis that the rotary tables were trained for. */
  readonly maxTokensPerAxis: number;
  readonly latentChannels: number;
  /** Frames per latent frame after the first: 4. */
  readonly temporalScale: number;
  /** Pixels per latent, on either axis: 8. */
  readonly spatialScale: number;
  readonly vae: LatentScaling & { readonly latentRgb?: LatentRgb | undefined };
  /** Of a model with two transformers: the timestep from which on (downwards) the second predicts. */
  readonly secondStage: { readonly boundaryTimestep: number } | undefined;
  readonly scheduler: SchedulerFile;
  /** Bytes of weights that each ONNX file brings into memory, in the order in which a run needs them. */
  readonly weightBytes: ReadonlyMap<string, number>;
}

/** Looks at model folders as the pipeline does when it loads one; importing it loads no model code. */
export const modelCheck = {
  takes: (className: string): boolean => className === "WanPipeline",
  read: readModelFolder,
};

/**
 * Reads the configs of a model folder as diffusers' `WanPipeline` lays it out and `tools/export/export_wan.py` exports it.
 * @throws PipelineError MODEL_NOT_FOUND naming the missing file, MODEL_UNSUITABLE when it is no WAN model for text to video,
 *   MODEL_INVALID when its parts do not fit each other
 */
export async function readModelFolder(path: string): Promise<WanModelFolder> {
  const index = await readConfig(join(path, "model_index.json"), modelIndex);
  if (!modelCheck.takes(index._class_name)) {
    throw modelUnsuitable(
      path,
      `the model is a ${index._class_name}; this pipeline runs WAN, text to video (WanPipeline)`,
    );
  }
  if (index.expand_timesteps === true) {
    throw modelUnsuitable(
      path,
      "the model has a timestep for every token (expand_timesteps), which this pipeline has not",
    );
  }
  const { d_model: textWidth } = await readConfig(join(path, "text_encoder/config.json"), textEncoderConfig);
  const vae = await readVae(path);
  const transformer = await readTransformer(path, "transformer", textWidth, vae.latentChannels);
  const hasSecond = typeof index.transformer_2?.[1] === "string";
  if (hasSecond) await checkSecond(path, transformer, textWidth, vae.latentChannels);
  const scheduler = await readSchedulerFile(path);
  const { num_train_timesteps: trainTimesteps } = await readConfig(scheduler.path, schedulerNumbers);
  return {
    path,
    patchSize: transformer.patch_size,
    headDim: transformer.attention_head_dim,
    maxTokensPerAxis: transformer.rope_max_seq_len,
    ...vae,
    secondStage: hasSecond ? { boundaryTimestep: boundaryOf(path, index) * trainTimesteps } : undefined,
    scheduler,
    weightBytes: await weightBytesOf(
      path,
      Object.values(files).filter((file) => hasSecond || file !== files.transformer2),
    ),
  };
}

async function readVae(folder: string) {
  const path = join(folder, "vae_decoder/config.json");
  const vae = await readConfig(path, vaeConfig);
  // Its decoder makes parts of pixels side by side; the exported graphs put them together.
  const patch = vae.patch_size ?? 1;
  return {
    latentChannels: vae.z_dim,
    temporalScale: vae.scale_factor_temporal ?? 4,
    spatialScale: vae.scale_factor_spatial ?? 8 * patch,
    vae: {
      scalingFactor: 1,
      shiftFactor: 0,
      normalization: readNormalization(path, vae, vae.z_dim),
      latentRgb: readLatentRgb(path, vae, vae.z_dim),
    },
  };
}

async function readTransformer(folder: string, name: string, textWidth: number, channels: number) {
  const path = join(folder, name, "config.json");
  const config = await readConfig(path, transformerConfig);
  if (config.in_channels !== config.out_channels) {
    throw modelInvalid(
      path,
      `the transformer reads ${config.in_channels} channels and makes ${config.out_channels}: it is conditioned on pictures, and this pipeline runs text to video`,
    );
  }
  checkEqual(path, "in_channels", config.in_channels, "the VAE's z_dim", channels);
  checkEqual(path, "text_dim", config.text_dim, "the text encoder's d_model", textWidth);
  return config;
}

/** Both transformers of a model get the same inputs. */
async function checkSecond(folder: string, first: TransformerConfig, textWidth: number, channels: number) {
  const second = await readTransformer(folder, "transformer_2", textWidth, channels);
  const path = join(folder, "transformer_2/config.json");
  const [head, patch] = [second.attention_head_dim, second.patch_size.slice(1)];
  checkEqual(path, "attention_head_dim", head, "that of the first transformer", first.attention_head_dim);
  for (const [axis, size] of patch.entries()) {
    checkEqual(path, `patch_size[${axis + 1}]`, size, "that of the first transformer", first.patch_size[axis + 1] ?? 0);
  }
}

/** Without one, diffusers would never use the second transformer. */
function boundaryOf(folder: string, { boundary_ratio: ratio }: z.output<typeof modelIndex>): number {
  if (typeof ratio === "number") return ratio;
  throw modelInvalid(
    join(folder, "model_index.json"),
    "there is a transformer_2, but no boundary_ratio that says when it takes over: set it (0.875 for text to video)",
  );
}
