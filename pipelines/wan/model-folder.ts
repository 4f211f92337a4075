import { existsSync } from "node:fs";
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
import type { ClipProcessorConfig } from "#pipelines/images/clip-pixels.ts";
import { readImageProcessor } from "./image-processor.ts";
import { isWanClass, type ModelTask, tasksOf } from "./model-tasks.ts";

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
  /** Width of the features of pictures, in transformers that take them. */
  image_dim: z.int().positive().nullish(),
  /** Features of both ends of a clip together: 2 × 257. */
  pos_embed_seq_len: z.int().positive().nullish(),
  /** Layers that a control video reaches, in VACE models, and the channels that it has. */
  vace_layers: z.array(z.int()).nullish(),
  vace_in_channels: z.int().positive().default(96),
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
  imageEncoder: "image_encoder/model.onnx",
  vaeEncoderFirst: "vae_encoder/first.onnx",
  vaeEncoderNext: "vae_encoder/next.onnx",
  transformer: "transformer/model.onnx",
  transformer2: "transformer_2/model.onnx",
  vaeFirst: "vae_decoder/first.onnx",
  vaeNext: "vae_decoder/next.onnx",
} as const;

export type WanTransformerConfig = z.output<typeof transformerConfig>;

type Vae = Awaited<ReturnType<typeof readVae>>;

/** What the configs of a WAN model folder say, checked against each other. */
export interface WanModelFolder {
  readonly path: string;
  /** What the weights make clips from, beside a prompt. */
  readonly tasks: readonly ModelTask[];
  /** How pictures are prepared for the image encoder, in models that have one. */
  readonly imageProcessor: ClipProcessorConfig | undefined;
  /** Layers of the transformers that a control video reaches; none but in VACE models. */
  readonly controlLayers: number;
  /** The transformer has a timestep for every token, and not one for all (WAN 2.2's TI2V-5B). */
  readonly timestepPerToken: boolean;
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
  /** Files that many runs do without: what they make is kept, or few jobs have a use for it. */
  readonly rarelyUsed: readonly string[];
  /** Files that jobs may do without altogether: loaded when one has a use for them. */
  readonly optional: readonly string[];
}

/** Looks at model folders as the pipeline does when it loads one; importing it loads no model code. */
export const modelCheck = {
  takes: (className: string): boolean => isWanClass(className),
  read: readModelFolder,
};

/**
 * Reads the configs of a model folder as diffusers' pipelines for WAN lay it out and `tools/export/export_wan.py` exports it.
 * @throws PipelineError MODEL_NOT_FOUND naming the missing file, MODEL_UNSUITABLE when it is no WAN model that is run here,
 *   MODEL_INVALID when its parts do not fit each other
 */
export async function readModelFolder(path: string): Promise<WanModelFolder> {
  const index = await readConfig(join(path, "model_index.json"), modelIndex);
  if (!isWanClass(index._class_name)) {
    throw modelUnsuitable(
      path,
      `the model is a ${index._class_name}; this pipeline runs WAN (WanPipeline, WanImageToVideoPipeline, WanVACEPipeline)`,
    );
  }
  const { d_model: textWidth } = await readConfig(join(path, "text_encoder/config.json"), textEncoderConfig);
  const vae = await readVae(path);
  const transformer = await readTransformer(path, "transformer", textWidth);
  const tasks = tasksOf(join(path, "transformer/config.json"), index._class_name, {
    ...taskFields(transformer, vae),
    timestepPerToken: index.expand_timesteps === true,
  });
  const hasSecond = typeof index.transformer_2?.[1] === "string";
  if (hasSecond) await checkSecond(path, transformer, textWidth);
  const scheduler = await readSchedulerFile(path);
  const { num_train_timesteps: trainTimesteps } = await readConfig(scheduler.path, schedulerNumbers);
  const parts = partsOf(path, tasks, transformer, hasSecond);
  return {
    path,
    tasks,
    imageProcessor: await readImageProcessor(path, transformer),
    controlLayers: controlLayersOf(path, transformer, vae),
    timestepPerToken: index.expand_timesteps === true,
    patchSize: transformer.patch_size,
    headDim: transformer.attention_head_dim,
    maxTokensPerAxis: transformer.rope_max_seq_len,
    ...vae,
    secondStage: hasSecond ? { boundaryTimestep: boundaryOf(path, index) * trainTimesteps } : undefined,
    scheduler,
    weightBytes: await weightBytesOf(path, parts.all),
    rarelyUsed: [files.textEncoder, files.imageEncoder, ...parts.optional],
    optional: parts.optional,
  };
}

const vaeEncoder = [files.vaeEncoderFirst, files.vaeEncoderNext] as const;

/** The ONNX files that the folder must have, and those of the VAE encoder, which only some conditions of a text model need. */
function partsOf(path: string, tasks: readonly ModelTask[], transformer: WanTransformerConfig, hasSecond: boolean) {
  const needsEncoder = tasks.some((task) => task !== "text");
  const hasEncoder = needsEncoder || vaeEncoder.every((file) => existsSync(join(path, file)));
  const absent = new Set<string>([
    ...(hasSecond ? [] : [files.transformer2]),
    ...(transformer.image_dim ? [] : [files.imageEncoder]),
    ...(hasEncoder ? [] : vaeEncoder),
  ]);
  const all = Object.values(files).filter((file) => !absent.has(file));
  return { all, optional: needsEncoder ? [] : vaeEncoder.filter((file) => !absent.has(file)) };
}

function taskFields(transformer: WanTransformerConfig, { latentChannels, temporalScale }: Vae) {
  return {
    inChannels: transformer.in_channels,
    outChannels: transformer.out_channels,
    hasVaceLayers: Array.isArray(transformer.vace_layers),
    takesPictures: typeof transformer.image_dim === "number",
    takesTwoPictures: typeof transformer.pos_embed_seq_len === "number",
    latentChannels,
    temporalScale,
  };
}

/** Of a control: latents of what is kept and of what is drawn anew, and the mask of each latent's pixels. */
function controlLayersOf(
  folder: string,
  transformer: WanTransformerConfig,
  { latentChannels, spatialScale }: Vae,
): number {
  if (!Array.isArray(transformer.vace_layers)) return 0;
  const path = join(folder, "transformer/config.json");
  const channels = 2 * latentChannels + spatialScale ** 2;
  checkEqual(path, "vace_in_channels", transformer.vace_in_channels, "that of this VAE's latents and masks", channels);
  return transformer.vace_layers.length;
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

async function readTransformer(folder: string, name: string, textWidth: number) {
  const path = join(folder, name, "config.json");
  const config = await readConfig(path, transformerConfig);
  checkEqual(path, "text_dim", config.text_dim, "the text encoder's d_model", textWidth);
  return config;
}

/** Both transformers of a model get the same inputs. */
async function checkSecond(folder: string, first: WanTransformerConfig, textWidth: number) {
  const second = await readTransformer(folder, "transformer_2", textWidth);
  const path = join(folder, "transformer_2/config.json");
  const check = (name: string, own: number, other: number) =>
    checkEqual(path, name, own, "that of the first transformer", other);
  for (const name of ["attention_head_dim", "in_channels", "out_channels"] as const)
    check(name, second[name], first[name]);
  check("number of vace_layers", second.vace_layers?.length ?? 0, first.vace_layers?.length ?? 0);
  check("image_dim", second.image_dim ?? 0, first.image_dim ?? 0);
  for (const axis of [1, 2] as const) check(`patch_size[${axis}]`, second.patch_size[axis], first.patch_size[axis]);
}

/** Without one, diffusers would never use the second transformer. */
function boundaryOf(folder: string, { boundary_ratio: ratio }: z.output<typeof modelIndex>): number {
  if (typeof ratio === "number") return ratio;
  throw modelInvalid(
    join(folder, "model_index.json"),
    "there is a transformer_2, but no boundary_ratio that says when it takes over: set it (0.875 for text to video)",
  );
}
