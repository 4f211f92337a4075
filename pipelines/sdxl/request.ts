import type { Tensor } from "#pipelines/core/tensor.ts";
import type { DenoiseStep } from "#pipelines/diffusion/denoise.ts";
import type { Mask } from "#pipelines/images/mask.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { Lora } from "#pipelines/lora/merged-graph.ts";
import type { SamplerNames } from "#pipelines/schedulers/sampler-names.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { PromptEmbeddings } from "./encode-prompt.ts";
import type { WeightedPair } from "./read-weights.ts";

export interface SdxlRequest {
  readonly prompt: string;
  /** Absent is not the same as empty: models may want zero embeddings when it is absent. */
  readonly negativePrompt?: string | undefined;
  /** Both prompts as their weights were read; they are plain text without. */
  readonly weighted?: WeightedPair | undefined;
  /** In pixels, multiples of the VAE's scale (8). */
  readonly width: number;
  readonly height: number;
  readonly numInferenceSteps: number;
  /** Up to 1: no guidance, and half the computation. */
  readonly guidanceScale: number;
  readonly guidanceRescale?: number | undefined;
  readonly clipSkip?: number | undefined;
  /** A class name of diffusers or a friendly name; the model's own scheduler when absent. */
  readonly scheduler?: string | undefined;
  /** How much of its own noise DDIM adds, and the γ of TCD; none when absent. */
  readonly eta?: number | undefined;
  /** Whose random numbers the seeds stand for: torch's on a CPU (when absent), or on a GPU. */
  readonly noise?: "cpu" | "cuda" | undefined;
  /**
   * The share of the noise after which the model's refiner goes on, from 0 to 1: 0.8 when absent, 1 for none. Of a model with a
   * refiner only.
   */
  readonly denoisingEnd?: number | undefined;
  /** From 0 to 10, how beautiful a refiner is to think the picture; 6 when absent, and 2.5 for what it is led away from. */
  readonly aestheticScore?: number | undefined;
  readonly negativeAestheticScore?: number | undefined;
  /** In any order: changes of weights add up. None, and the model is what its files say, bit for bit. */
  readonly loras?: readonly Lora[] | undefined;
  /** One image per seed. */
  readonly seeds: readonly number[];
  /** A picture to begin with; when absent, images are drawn from noise alone. */
  readonly reference?: SdxlReference | undefined;
  /** A picture whose lines, depths or whatever a ControlNet was trained for are kept to. */
  readonly control?: SdxlControl | undefined;
  /** A picture that stands beside the prompt, for models with an IP-Adapter. */
  readonly imagePrompt?: SdxlImagePrompt | undefined;
}

export interface SdxlControl {
  /** Which of the model's ControlNets, see {@link import("./model-folder.ts").SdxlModelFolder.controlNets}. */
  readonly name: string;
  /** Of the request's width and height, as the ControlNet was trained for: lines on black, depths as grey. */
  readonly picture: RgbImage;
  /** How much its residuals count: `controlnet_conditioning_scale` of diffusers. */
  readonly scale: number;
  /** Shares of the run between which it is asked, from 0 to 1. */
  readonly start: number;
  readonly end: number;
  /** It is asked for the half with the prompt only, and its residuals count the more the deeper they are. */
  readonly guessMode?: boolean | undefined;
}

export interface SdxlImagePrompt {
  /** Of any size: the middle square of it is looked at. */
  readonly picture: RgbImage;
  /** How much it counts beside the prompt: `set_ip_adapter_scale` of diffusers. */
  readonly scale: number;
}

export interface SdxlReference {
  /** Of the request's width and height. */
  readonly image: RgbImage;
  /** Share of the steps that are run, from 0 (the reference as it is) to 1: see {@link import("./start-step.ts").startStepOf}. */
  readonly strength: number;
  /** A strength that rounds to no step is one step. */
  readonly takesOneStep?: boolean | undefined;
  /** What of it is drawn anew, of its size; all of it when absent. */
  readonly mask?: Mask | undefined;
}

export interface SdxlHooks {
  readonly signal?: AbortSignal | undefined;
  /** Called after every step. With several parts (see {@link import("./pipeline.ts").SdxlPipeline.generate}) a step may be reported twice. */
  onProgress?(step: number, total: number, preview: Uint8Array | undefined): void;
  /** What the stages made, for comparing them with a reference; the tensors are only valid until it returns. */
  onStage?(stage: SdxlStage): void;
}

export type SdxlStage =
  | { readonly name: "encoded"; readonly embeddings: PromptEmbeddings; readonly timeIds: Tensor }
  | { readonly name: "prepared"; readonly noise: Tensor; readonly latents: Tensor; readonly schedule: Schedule }
  | ({ readonly name: "step" } & DenoiseStep)
  | { readonly name: "decoded"; readonly index: number; readonly image: Tensor };

export interface SdxlResult {
  /** In the order of the seeds. */
  readonly images: readonly RgbImage[];
  /** diffusers' class name. */
  readonly scheduler: string;
  /** The same in the words of other tools. */
  readonly sampler: SamplerNames;
  readonly promptTokens: number;
  readonly negativePromptTokens: number;
  readonly chunks: number;
  /** Where the refiner went on; undefined where none played a part. */
  readonly denoisingEnd: number | undefined;
  /** Steps that were run: with a reference, some of those that the request has. */
  readonly steps: number;
}
