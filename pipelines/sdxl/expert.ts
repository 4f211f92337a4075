import { existsSync } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelUnsuitable } from "#pipelines/core/errors.ts";
import { checkEqual, readConfig } from "#pipelines/diffusion/model-configs.ts";

/**
 * What takes noise away: a UNet, and the text encoders that it was trained with. A model has one, or a base and a refiner that
 * ends what the base began ("ensemble of experts", Podell et al., "SDXL", 2023, section 2.5).
 */
export interface Expert {
  /** Path in the model folder: `unet`. */
  readonly unet: string;
  /** One or two; the pooled output is that of the last. */
  readonly textEncoders: readonly TextEncoderFolders[];
  /** An absent negative prompt becomes zeros instead of the embedding of an empty text. */
  readonly forceZerosForEmptyPrompt: boolean;
  /** Width of the text encoders' hidden states, side by side. */
  readonly textWidth: number;
  /** Width of the pooled output. */
  readonly pooledWidth: number;
  /** Channels of the UNet's input. */
  readonly inputChannels: number;
  /** The UNet is shown how beautiful the picture is to be, and not its target size: it refines pictures. */
  readonly takesAestheticScore: boolean;
  /** Width of the embedding of the guidance scale in a UNet that needs no second half for it (LCM); undefined for any other. */
  readonly guidanceWidth: number | undefined;
}

/** Paths in the model folder: `text_encoder_2`, `tokenizer_2`. */
export interface TextEncoderFolders {
  readonly encoder: string;
  readonly tokenizer: string;
}

/** What `model_index.json` says of an expert. */
export interface ExpertIndex {
  readonly textEncoders: readonly TextEncoderFolders[];
  readonly forceZerosForEmptyPrompt: boolean;
  readonly takesAestheticScore: boolean;
}

/** Parts that a pipeline does without are `[null, null]`. */
const part = z.array(z.string().nullable()).nullish();

export const expertIndexFields = {
  force_zeros_for_empty_prompt: z.boolean().default(true),
  requires_aesthetics_score: z.boolean().default(false),
  text_encoder: part,
};

const textEncoderConfig = z.object({
  hidden_size: z.int().positive(),
  projection_dim: z.int().positive(),
});

const unetConfig = z.object({
  in_channels: z.int().positive(),
  cross_attention_dim: z.int().positive(),
  addition_time_embed_dim: z.int().positive(),
  projection_class_embeddings_input_dim: z.int().positive(),
  time_cond_proj_dim: z.int().min(2).nullish(),
});

/** Ids per image: original height and width, crop top and left, then target height and width, or an aesthetic score. */
const timeIds = {
  size: { count: 6, name: "size ids" },
  aestheticScore: { count: 5, name: "aesthetic ids (requires_aesthetics_score in model_index.json)" },
} as const;

const encoders = {
  first: { encoder: "text_encoder", tokenizer: "tokenizer" },
  second: { encoder: "text_encoder_2", tokenizer: "tokenizer_2" },
} as const;

/** @param index as {@link expertIndexFields} read it */
export function expertIndexOf(index: z.output<z.ZodObject<typeof expertIndexFields>>): ExpertIndex {
  // An index that does not list its parts is one of the base model's.
  const hasFirst = index.text_encoder === undefined || typeof index.text_encoder?.[1] === "string";
  return {
    textEncoders: hasFirst ? [encoders.first, encoders.second] : [encoders.second],
    forceZerosForEmptyPrompt: index.force_zeros_for_empty_prompt,
    takesAestheticScore: index.requires_aesthetics_score,
  };
}

/**
 * Reads the configs of an expert, checked against each other.
 * @param unet path in the model folder
 * @throws PipelineError MODEL_NOT_FOUND naming the missing file, MODEL_INVALID when the parts do not fit each other
 */
export async function readExpert(modelFolder: string, unet: string, index: ExpertIndex): Promise<Expert> {
  const widths: number[] = [];
  let pooledWidth = 0;
  for (const { encoder } of index.textEncoders) {
    const config = await readConfig(join(modelFolder, encoder, "config.json"), textEncoderConfig);
    widths.push(config.hidden_size);
    pooledWidth = config.projection_dim;
  }
  const path = join(modelFolder, unet, "config.json");
  const config = await readConfig(path, unetConfig);
  const textWidth = widths.reduce((sum, width) => sum + width, 0);
  const whose = widths.length === 1 ? "the text encoder's width" : "the text encoders' width";
  checkEqual(path, "cross_attention_dim", config.cross_attention_dim, whose, textWidth);
  const ids = index.takesAestheticScore ? timeIds.aestheticScore : timeIds.size;
  checkEqual(
    path,
    "projection_class_embeddings_input_dim",
    config.projection_class_embeddings_input_dim,
    `the width of pooled text and ${ids.name}`,
    ids.count * config.addition_time_embed_dim + pooledWidth,
  );
  return {
    ...index,
    unet,
    textWidth,
    pooledWidth,
    inputChannels: config.in_channels,
    guidanceWidth: config.time_cond_proj_dim ?? undefined,
  };
}

/** Whether a model's `_class_name` is one of diffusers' pipelines for Stable Diffusion XL. */
export function isSdxlClass(className: string): boolean {
  return className.includes("StableDiffusionXL");
}

const refinerFolder = "refiner";
const refinerIndex = z.object({ _class_name: z.string(), ...expertIndexFields });

/**
 * The refiner in a model's folder `refiner/`, undefined where there is none. Text encoders and tokenizers that are not in it are
 * the model's own: both models of SDXL have the same second one.
 * @throws PipelineError as {@link readExpert}, MODEL_UNSUITABLE when it is no SDXL model
 */
export async function readRefiner(modelFolder: string): Promise<Expert | undefined> {
  // A link that leads nowhere is one that was meant to be there.
  if (!(await readdir(modelFolder)).includes(refinerFolder)) return undefined;
  const folder = join(modelFolder, refinerFolder);
  const config = await readConfig(join(folder, "model_index.json"), refinerIndex);
  if ((await realpath(folder)) === (await realpath(modelFolder))) {
    throw modelInvalid(folder, "it is a link to the model that it is in: let it lead to a refiner, or remove it");
  }
  if (!isSdxlClass(config._class_name)) {
    throw modelUnsuitable(folder, `the refiner is a ${config._class_name}; only one of Stable Diffusion XL is run`);
  }
  const index = expertIndexOf(config);
  const nearest = (folder: string) => {
    const own = `${refinerFolder}/${folder}`;
    return existsSync(join(modelFolder, own)) ? own : folder;
  };
  const textEncoders = index.textEncoders.map(({ encoder, tokenizer }) => ({
    encoder: nearest(encoder),
    tokenizer: nearest(tokenizer),
  }));
  return readExpert(modelFolder, `${refinerFolder}/unet`, { ...index, textEncoders });
}
