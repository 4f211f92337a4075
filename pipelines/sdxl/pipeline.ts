import { join } from "node:path";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { invalidJob } from "#pipelines/core/errors.ts";
import type { Component, SessionSettings } from "#pipelines/core/onnx.ts";
import { scaleInPlace, splitBatch, type Tensor } from "#pipelines/core/tensor.ts";
import { type DenoiseStep, denoise } from "#pipelines/diffusion/denoise.ts";
import { ownScheduler } from "#pipelines/diffusion/model-configs.ts";
import { drawNoise } from "#pipelines/diffusion/noise.ts";
import { runInParts } from "#pipelines/diffusion/parts.ts";
import { imagePreview, PreviewFeed } from "#pipelines/diffusion/preview.ts";
import { type RgbImage, toRgbImage } from "#pipelines/images/rgb.ts";
import { createScheduler } from "#pipelines/schedulers/index.ts";
import type { Schedule, Scheduler } from "#pipelines/schedulers/scheduler.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { decodeLatents } from "./decode.ts";
import { encodePrompt, type PromptEmbeddings, type TextEncoder } from "./encode-prompt.ts";
import { latentRgbOf } from "./latent-rgb.ts";
import { readModelFolder, type SdxlModelFolder } from "./model-folder.ts";
import { sizeIds, UnetPredictor } from "./unet.ts";

export interface SdxlRequest {
  readonly prompt: string;
  /** Absent is not the same as empty: models may want zero embeddings when it is absent. */
  readonly negativePrompt?: string | undefined;
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
  /** One image per seed. */
  readonly seeds: readonly number[];
}

export interface SdxlHooks {
  readonly signal?: AbortSignal | undefined;
  /** Called after every step. With several parts (see {@link SdxlPipeline.generate}) a step may be reported twice. */
  onProgress?(step: number, total: number, preview: Uint8Array | undefined): void;
  /** What the stages made, for comparing them with a reference; the tensors are only valid until it returns. */
  onStage?(stage: SdxlStage): void;
}

export type SdxlStage =
  | { readonly name: "encoded"; readonly embeddings: PromptEmbeddings; readonly timeIds: Tensor }
  | { readonly name: "prepared"; readonly noise: Tensor; readonly schedule: Schedule }
  | ({ readonly name: "step" } & DenoiseStep)
  | { readonly name: "decoded"; readonly index: number; readonly image: Tensor };

export interface SdxlResult {
  /** In the order of the seeds. */
  readonly images: readonly RgbImage[];
  /** diffusers' class name. */
  readonly scheduler: string;
  readonly promptTokens: number;
  readonly negativePromptTokens: number;
  readonly chunks: number;
}

interface SdxlParts {
  readonly textEncoders: readonly [TextEncoder, TextEncoder];
  readonly unet: Component;
  readonly vaeDecoder: Component;
}

export interface SdxlSettings extends SessionSettings {
  /**
   * Pixels that one run of the UNet takes together, all images of a part counted. By default three of 1024 × 1024: with
   * guidance a batch of six.
   */
  readonly pixelsPerPart?: number | undefined;
}

const defaultPixelsPerPart = 3 * 1024 * 1024;

/** Stable Diffusion XL, text to image, as diffusers' `StableDiffusionXLPipeline` computes it. */
export class SdxlPipeline {
  readonly model: SdxlModelFolder;
  readonly #ownScheduler: Scheduler;
  readonly #components: ComponentSet;
  readonly #parts: SdxlParts;
  readonly #pixelsPerPart: number;

  private constructor(
    model: SdxlModelFolder,
    ownScheduler: Scheduler,
    components: ComponentSet,
    parts: SdxlParts,
    pixelsPerPart: number,
  ) {
    this.model = model;
    this.#ownScheduler = ownScheduler;
    this.#components = components;
    this.#parts = parts;
    this.#pixelsPerPart = pixelsPerPart;
  }

  /**
   * Loads a model folder, all of it: the parts of SDXL fit into memory together. What was loaded before a failure is
   * given back.
   * @throws PipelineError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST or DEVICE_FAULT
   */
  static async load(folder: string, settings: SdxlSettings = {}): Promise<SdxlPipeline> {
    const model = await readModelFolder(folder);
    const { className, config, path } = model.scheduler;
    const scheduler = ownScheduler(model.scheduler, () => createScheduler(className, config, path));
    const components = new ComponentSet(folder, settings);
    try {
      const textEncoder = async (tokenizer: string, encoder: string): Promise<TextEncoder> => ({
        tokenizer: await ClipTokenizer.load(join(folder, tokenizer)),
        model: await components.get(`${encoder}/model.onnx`),
      });
      const parts = {
        textEncoders: [
          await textEncoder("tokenizer", "text_encoder"),
          await textEncoder("tokenizer_2", "text_encoder_2"),
        ],
        unet: await components.get("unet/model.onnx"),
        vaeDecoder: await components.get("vae_decoder/model.onnx"),
      } as const;
      return new SdxlPipeline(model, scheduler, components, parts, settings.pixelsPerPart ?? defaultPixelsPerPart);
    } catch (error) {
      await components.dispose();
      throw error;
    }
  }

  /** Where the UNet runs. */
  get executionProvider(): "cpu" | "cuda" {
    return this.#parts.unet.executionProvider;
  }

  /** Why it runs on the CPU although CUDA's library is installed. */
  get cudaProblem(): string | undefined {
    return this.#parts.unet.cudaProblem;
  }

  /** Time spent inside ONNX Runtime since loading: all the rest is this code's own. */
  get millisecondsInRun(): number {
    return this.#components.millisecondsInRun;
  }

  /**
   * Draws one image per seed. Images are computed together in parts of at most `pixelsPerPart`; a part that does not fit
   * into memory is tried again in halves. The partition changes results by rounding only.
   * @throws PipelineError INVALID_JOB, UNSUPPORTED_OPTION, NUMERICAL_ERROR or OUT_OF_MEMORY; the signal's reason
   */
  async generate(request: SdxlRequest, hooks: SdxlHooks = {}): Promise<SdxlResult> {
    this.#checkSize(request);
    const scheduler = this.#scheduler(request.scheduler);
    hooks.signal?.throwIfAborted();
    const embeddings = await encodePrompt(this.#parts.textEncoders, this.model.forceZerosForEmptyPrompt, {
      prompt: request.prompt,
      negativePrompt: request.negativePrompt,
      guided: request.guidanceScale > 1,
      clipSkip: request.clipSkip,
    });
    hooks.onStage?.({ name: "encoded", embeddings, timeIds: sizeIds(request) });

    const partSize = Math.floor(this.#pixelsPerPart / (request.width * request.height));
    const images = await runInParts(request.seeds, partSize, (seeds, imagesDone) =>
      this.#generatePart(request, seeds, imagesDone, scheduler, embeddings, hooks),
    );
    const { promptTokens, negativePromptTokens, chunks } = embeddings;
    return { images, scheduler: scheduler.className, promptTokens, negativePromptTokens, chunks };
  }

  /** Gives all memory back; the pipeline cannot run any more. */
  async dispose(): Promise<void> {
    await this.#components.dispose();
  }

  async #generatePart(
    request: SdxlRequest,
    seeds: readonly number[],
    imagesDone: number,
    scheduler: Scheduler,
    embeddings: PromptEmbeddings,
    hooks: SdxlHooks,
  ): Promise<RgbImage[]> {
    const { vaeScaleFactor, latentChannels } = this.model;
    const schedule = scheduler.schedule(request.numInferenceSteps);
    const latentShape = [latentChannels, request.height / vaeScaleFactor, request.width / vaeScaleFactor];
    const noise = drawNoise(seeds, latentShape);
    hooks.onStage?.({ name: "prepared", noise, schedule });
    const latentRgb = latentRgbOf(this.model);
    const previews = latentRgb === undefined ? undefined : new PreviewFeed(imagePreview(latentRgb));
    const predictor = new UnetPredictor(this.#parts.unet, schedule, noise.dims, {
      embeddings,
      timeIds: sizeIds(request),
      guidance: { scale: request.guidanceScale, rescale: request.guidanceRescale ?? 0 },
    });
    const latents = await denoise({
      schedule,
      latents: scaleInPlace(noise, schedule.initNoiseSigma),
      predict: (sample, stepIndex) => predictor.predict(sample, stepIndex),
      signal: hooks.signal,
      onStep: (step) => {
        hooks.onStage?.({ name: "step", ...step });
        if (hooks.onProgress === undefined) return;
        previews?.onStep(step, schedule);
        const done = imagesDone * step.total + seeds.length * step.step;
        hooks.onProgress(Math.floor(done / request.seeds.length), step.total, previews?.take());
      },
    });
    const images: RgbImage[] = [];
    for (const [index, image] of splitBatch(latents).entries()) {
      hooks.signal?.throwIfAborted();
      const decoded = await decodeLatents(this.#parts.vaeDecoder, this.model, image, { signal: hooks.signal });
      hooks.onStage?.({ name: "decoded", index: imagesDone + index, image: decoded });
      images.push(toRgbImage(decoded));
    }
    return images;
  }

  #scheduler(name: string | undefined): Scheduler {
    if (name === undefined) return this.#ownScheduler;
    return createScheduler(name, this.model.scheduler.config, this.model.scheduler.path);
  }

  #checkSize({ width, height }: SdxlRequest): void {
    const scale = this.model.vaeScaleFactor;
    if (width % scale !== 0 || height % scale !== 0 || width < scale || height < scale) {
      throw invalidJob(`width and height must be multiples of ${scale}, not ${width}×${height}`);
    }
  }
}
