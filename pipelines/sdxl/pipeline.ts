import { join } from "node:path";
import { invalidJob, modelInvalid, PipelineError } from "#pipelines/core/errors.ts";
import { Component, type SessionSettings } from "#pipelines/core/onnx.ts";
import { elementCount, scaleInPlace, splitBatch, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { type DenoiseStep, denoise } from "#pipelines/diffusion/denoise.ts";
import { drawNoise } from "#pipelines/diffusion/noise.ts";
import { runInParts } from "#pipelines/diffusion/parts.ts";
import { PreviewFeed } from "#pipelines/diffusion/preview.ts";
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
  /** Absent is not the same as empty: models may ask for zero embeddings when it is absent. */
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

interface SdxlComponents {
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

/** A preview every so many steps. */
const previewInterval = 4;

/** Stable Diffusion XL, text to image, as diffusers' `StableDiffusionXLPipeline` computes it. */
export class SdxlPipeline {
  readonly model: SdxlModelFolder;
  readonly #ownScheduler: Scheduler;
  readonly #components: SdxlComponents;
  readonly #pixelsPerPart: number;

  private constructor(
    model: SdxlModelFolder,
    ownScheduler: Scheduler,
    components: SdxlComponents,
    pixelsPerPart: number,
  ) {
    this.model = model;
    this.#ownScheduler = ownScheduler;
    this.#components = components;
    this.#pixelsPerPart = pixelsPerPart;
  }

  /**
   * Loads a model folder. What was loaded before a failure is given back.
   * @throws PipelineError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST or DEVICE_FAULT
   */
  static async load(folder: string, settings: SdxlSettings = {}): Promise<SdxlPipeline> {
    const model = await readModelFolder(folder);
    const scheduler = ownScheduler(model);
    const loaded: Component[] = [];
    const load = async (name: string) => {
      const component = await Component.load(join(folder, name), settings);
      loaded.push(component);
      return component;
    };
    try {
      const textEncoder = async (tokenizer: string, encoder: string): Promise<TextEncoder> => ({
        tokenizer: await ClipTokenizer.load(join(folder, tokenizer)),
        model: await load(encoder),
      });
      const textEncoders = [
        await textEncoder("tokenizer", "text_encoder"),
        await textEncoder("tokenizer_2", "text_encoder_2"),
      ] as const;
      const components = { textEncoders, unet: await load("unet"), vaeDecoder: await load("vae_decoder") };
      return new SdxlPipeline(model, scheduler, components, settings.pixelsPerPart ?? defaultPixelsPerPart);
    } catch (error) {
      await Promise.all(loaded.map((component) => component.dispose()));
      throw error;
    }
  }

  /** Where the UNet runs. */
  get executionProvider(): "cpu" | "cuda" {
    return this.#components.unet.executionProvider;
  }

  /** Why it runs on the CPU although CUDA's library is installed. */
  get cudaProblem(): string | undefined {
    return this.#components.unet.cudaProblem;
  }

  /** Time spent inside ONNX Runtime since loading: all the rest is this code's own. */
  get millisecondsInRun(): number {
    return this.#all().reduce((sum, component) => sum + component.millisecondsInRun, 0);
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
    const embeddings = await encodePrompt(this.#components.textEncoders, this.model.forceZerosForEmptyPrompt, {
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
    await Promise.all(this.#all().map((component) => component.dispose()));
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
    const previews = new PreviewFeed();
    const predictor = new UnetPredictor(this.#components.unet, schedule, noise.dims, {
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
        this.#startPreview(previews, step, schedule);
        const done = imagesDone * step.total + seeds.length * step.step;
        hooks.onProgress(Math.floor(done / request.seeds.length), step.total, previews.take());
      },
    });
    const images: RgbImage[] = [];
    for (const [index, image] of splitBatch(latents).entries()) {
      hooks.signal?.throwIfAborted();
      const decoded = await decodeLatents(this.#components.vaeDecoder, this.model, image, { signal: hooks.signal });
      hooks.onStage?.({ name: "decoded", index: imagesDone + index, image: decoded });
      images.push(toRgbImage(decoded));
    }
    return images;
  }

  /** Every few steps, what the first image of the part would look like if the model were right already. */
  #startPreview(feed: PreviewFeed, { step, noisePrediction, sample }: DenoiseStep, schedule: Schedule): void {
    const latentRgb = latentRgbOf(this.model);
    if (step % previewInterval !== 0 || latentRgb === undefined) return;
    const dims = sample.dims.with(0, 1);
    const size = elementCount(dims);
    const original = new Float32Array(size);
    schedule.predictOriginalSample(
      noisePrediction.data.subarray(0, size),
      step - 1,
      sample.data.subarray(0, size),
      original,
    );
    feed.start(tensor(original, dims), latentRgb);
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

  #all(): readonly Component[] {
    const { textEncoders, unet, vaeDecoder } = this.#components;
    return [...textEncoders.map(({ model }) => model), unet, vaeDecoder];
  }
}

/** A scheduler that is not here is the model's fault, and not the job's, which named none. */
function ownScheduler({ scheduler: { className, config, path } }: SdxlModelFolder): Scheduler {
  try {
    return createScheduler(className, config, path);
  } catch (error) {
    if (error instanceof PipelineError && error.code === "UNSUPPORTED_OPTION")
      throw modelInvalid(path, error.message, error);
    throw error;
  }
}
