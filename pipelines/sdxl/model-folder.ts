import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelUnsuitable } from "#pipelines/core/errors.ts";
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
import { checkRefinerDefaults } from "./check-defaults.ts";
import { checkGraphs } from "./check-graphs.ts";
import { type ConditionParts, readConditionParts } from "./condition-parts.ts";
import { type Expert, expertIndexFields, expertIndexOf, isSdxlClass, readExpert, readRefiner } from "./expert.ts";

const modelIndex = z.object({ _class_name: z.string(), ...expertIndexFields });

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

/** What the configs of an SDXL model folder say, checked against each other. */
export interface SdxlModelFolder extends ConditionParts {
  readonly path: string;
  /** What denoises, all of the way where there is no refiner. */
  readonly base: Expert;
  /** What ends the denoising, in `refiner/`; most models have none. */
  readonly refiner: Expert | undefined;
  /** Pixels per latent, on either axis: 8. */
  readonly vaeScaleFactor: number;
  readonly latentChannels: number;
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
  takes: isSdxlClass,
  read: readModelFolder,
};

/**
 * Reads the configs and the graphs' headers of a model folder as diffusers and `optimum-cli export onnx` lay it out.
 * @throws PipelineError MODEL_NOT_FOUND naming the missing file, MODEL_UNSUITABLE when it is no SDXL model,
 *   MODEL_INVALID when its parts do not fit each other
 */
export async function readModelFolder(path: string): Promise<SdxlModelFolder> {
  const read = <Schema extends z.ZodType>(file: string, schema: Schema) => readConfig(join(path, file), schema);
  const index = await read("model_index.json", modelIndex);
  if (!modelCheck.takes(index._class_name)) {
    throw modelUnsuitable(path, `the model is a ${index._class_name}; this pipeline runs Stable Diffusion XL`);
  }
  const base = await readExpert(path, "unet", expertIndexOf(index));
  const refiner = await readRefiner(path);
  const vae = await read("vae_decoder/config.json", vaeConfig);
  const vaePath = join(path, "vae_decoder/config.json");
  const scheduler = await readSchedulerFile(path);
  const tinyDecoderPath = join(path, "vae_decoder_tiny/config.json");
  const tinyDecoder = await readJson(tinyDecoderPath, tinyDecoderConfig);

  const channels = vae.latent_channels;
  const isInpaintingUnet = base.inputChannels === 2 * channels + 1;
  checkChannels(path, refiner, channels);
  if (!isInpaintingUnet) checkChannels(path, base, channels);
  else if (refiner !== undefined) {
    throw modelInvalid(join(path, "refiner"), "a UNet that paints into pictures (9 channels) hands over to no refiner");
  }
  if (tinyDecoder !== undefined) {
    checkEqual(tinyDecoderPath, "latent_channels", tinyDecoder.latent_channels, "the VAE's latent_channels", channels);
  }
  const model = {
    path,
    base,
    refiner,
    vaeScaleFactor: 2 ** (vae.block_out_channels.length - 1),
    latentChannels: channels,
    isInpaintingUnet,
    vae: {
      scalingFactor: vae.scaling_factor,
      shiftFactor: vae.shift_factor ?? 0,
      normalization: readNormalization(vaePath, vae, vae.latent_channels),
      latentRgb: readLatentRgb(vaePath, vae, vae.latent_channels),
    },
    tinyDecoder: tinyDecoder && { scalingFactor: tinyDecoder.scaling_factor },
    scheduler,
    ...(await readConditionParts(path, channels)),
  };
  await checkGraphs(model);
  await checkRefinerDefaults(model);
  return model;
}

/** Of a UNet that is shown latents alone. */
function checkChannels(path: string, expert: Expert | undefined, channels: number): void {
  if (expert === undefined) return;
  const config = join(path, expert.unet, "config.json");
  checkEqual(config, "in_channels", expert.inputChannels, "the VAE's latent_channels", channels);
}
