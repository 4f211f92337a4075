import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";
import type { SessionSettings } from "#pipelines/core/onnx.ts";
import { ownScheduler } from "#pipelines/diffusion/model-configs.ts";
import { runInParts } from "#pipelines/diffusion/parts.ts";
import type { Placed } from "#pipelines/diffusion/report-load.ts";
import { depthPicture } from "#pipelines/images/depth-picture.ts";
import { type RgbImage, toUnitValues } from "#pipelines/images/rgb.ts";
import { LoraWeights } from "#pipelines/lora/lora-weights.ts";
import { createScheduler, samplerOf } from "#pipelines/schedulers/index.ts";
import type { Scheduler } from "#pipelines/schedulers/scheduler.ts";
import {
  controlNetFile,
  depthEstimatorFile,
  imageEncoderFile,
  noControlNet,
  tinyDecoderFile,
} from "./condition-parts.ts";
import { drawPart, type PreparedControl, type PromptedExpert } from "./draw-part.ts";
import { encodePrompt } from "./encode-prompt.ts";
import { checkReference, type EncodedReference, encodeReference } from "./encode-reference.ts";
import type { Expert } from "./expert.ts";
import { denoisingEndOf } from "./hand-over.ts";
import { encodeImagePrompt, type ImageEmbeddings } from "./image-prompt.ts";
import {
  fileOf,
  loadAhead,
  openTextEncoders,
  type RoomSettings,
  vaeDecoderFile,
  vaeEncoderFile,
} from "./load-ahead.ts";
import { timeIdsOf } from "./micro-conditions.ts";
import { readModelFolder, type SdxlModelFolder } from "./model-folder.ts";
import type { SdxlControl, SdxlHooks, SdxlImagePrompt, SdxlReference, SdxlRequest, SdxlResult } from "./request.ts";
import { startStepOf } from "./start-step.ts";
import type { TextEncoder } from "./text-encoder.ts";

export interface SdxlSettings extends SessionSettings, RoomSettings {
  /**
   * Pixels that one run of the UNet takes together, all images of a part counted. By default three of 1024 × 1024: with
   * guidance a batch of six.
   */
  readonly pixelsPerPart?: number | undefined;
}

const defaultPixelsPerPart = 3 * 1024 * 1024;

/** Stable Diffusion XL, as diffusers' pipelines for text to image, image to image and inpainting compute it. */
export class SdxlPipeline {
  readonly model: SdxlModelFolder;
  /** Where the model runs. */
  readonly executionProvider: "cpu" | "cuda";
  /** Why it runs on the CPU although CUDA's library is installed. */
  readonly cudaProblem: string | undefined;
  readonly #ownScheduler: Scheduler;
  readonly #components: ComponentSet;
  /** By their folder. */
  readonly #textEncoders: ReadonlyMap<string, TextEncoder>;
  readonly #loras: LoraWeights;
  readonly #pixelsPerPart: number;

  private constructor(
    model: SdxlModelFolder,
    ownScheduler: Scheduler,
    components: ComponentSet,
    textEncoders: ReadonlyMap<string, TextEncoder>,
    place: Placed,
    pixelsPerPart: number,
  ) {
    this.model = model;
    this.#ownScheduler = ownScheduler;
    this.#components = components;
    this.#textEncoders = textEncoders;
    const encoders = model.base.textEncoders.map(({ encoder }) => [encoder, fileOf(encoder)] as const);
    this.#loras = new LoraWeights(components, { ...Object.fromEntries(encoders), unet: fileOf(model.base.unet) });
    this.executionProvider = place.executionProvider;
    this.cudaProblem = place.cudaProblem;
    this.#pixelsPerPart = pixelsPerPart;
  }

  /**
   * Opens a model folder. A model that has room as a whole is loaded; of a larger one each part comes when its stage does,
   * and the text encoders go before the UNet comes. What was loaded before a failure is given back.
   * @throws PipelineError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST or DEVICE_FAULT
   */
  static async load(folder: string, settings: SdxlSettings = {}): Promise<SdxlPipeline> {
    const model = await readModelFolder(folder);
    const { className, config, path } = model.scheduler;
    const scheduler = ownScheduler(model.scheduler, () => createScheduler(className, config, path));
    const components = new ComponentSet(folder, settings);
    try {
      const textEncoders = await openTextEncoders(model, components);
      const place = await loadAhead(model, components, settings);
      const pixelsPerPart = settings.pixelsPerPart ?? defaultPixelsPerPart;
      return new SdxlPipeline(model, scheduler, components, textEncoders, place, pixelsPerPart);
    } catch (error) {
      await components.dispose();
      throw error;
    }
  }

  /** Time spent inside ONNX Runtime since loading: all the rest is this code's own. */
  get millisecondsInRun(): number {
    return this.#components.millisecondsInRun;
  }

  /**
   * Draws one image per seed. Images are computed together in parts of at most `pixelsPerPart`; a part that does not fit
   * into memory is tried again in halves. The partition changes results by rounding only.
   * LoRA files are merged into the weights, and stay until another job wants others.
   * @throws PipelineError INVALID_JOB, UNSUPPORTED_OPTION, LORA_INVALID, MODEL_INVALID, MODEL_TOO_LARGE, DISK_FULL,
   *   NUMERICAL_ERROR or OUT_OF_MEMORY; the signal's reason
   */
  async generate(request: SdxlRequest, hooks: SdxlHooks = {}): Promise<SdxlResult> {
    this.#checkSize(request);
    checkReference(this.model, request.reference);
    const scheduler = this.#scheduler(request);
    const denoisingEnd = denoisingEndOf(this.model, request, scheduler);
    const skipped = request.reference === undefined ? 0 : startStepOf(request.numInferenceSteps, request.reference);
    hooks.signal?.throwIfAborted();
    await this.#loras.use(request.loras ?? [], hooks.signal);
    const base = await this.#prompted(this.model.base, request);
    const { embeddings } = base;
    hooks.onStage?.({ name: "encoded", embeddings, timeIds: timeIdsOf(this.model.base, request).positive });
    const { refiner: expert } = this.model;
    const refiner =
      expert === undefined || denoisingEnd === undefined
        ? undefined
        : { ...(await this.#prompted(expert, request)), denoisingEnd };

    const partSize = Math.floor(this.#pixelsPerPart / (request.width * request.height));
    const imagePrompt = await this.#encodeImagePrompt(request.imagePrompt);
    const reference = await this.#encodeReference(request.reference, hooks.signal);
    const control = this.#prepareControl(request.control);
    const vaeDecoder = () => this.#components.get(vaeDecoderFile);
    const tinyDecoder = async () =>
      this.model.tinyDecoder === undefined ? undefined : this.#components.get(tinyDecoderFile);
    const shown = { base, refiner, imagePrompt, control, reference };
    const drawing = { model: this.model, ...shown, vaeDecoder, tinyDecoder, request, scheduler, hooks };
    const images = await runInParts(request.seeds, partSize, (seeds, imagesDone) =>
      drawPart(drawing, seeds, imagesDone),
    );
    const { promptTokens, negativePromptTokens, chunks } = embeddings;
    const steps = request.numInferenceSteps - skipped;
    const { className, config } = this.model.scheduler;
    const sampler = samplerOf(request.scheduler ?? className, config);
    return {
      images,
      scheduler: scheduler.className,
      sampler,
      promptTokens,
      negativePromptTokens,
      chunks,
      steps,
      denoisingEnd,
    };
  }

  /**
   * A picture's depths as a control picture, for models with a `depth_estimator/`.
   * @throws PipelineError UNSUPPORTED_OPTION, MODEL_INVALID or NUMERICAL_ERROR
   */
  async estimateDepth(picture: RgbImage): Promise<RgbImage> {
    const { depthProcessor, path } = this.model;
    if (depthProcessor === undefined) {
      throw unsupportedOption(
        `the model ${basename(path)} has no depth_estimator/: put one there, or send a control picture of depths ready-made`,
      );
    }
    return depthPicture(await this.#components.get(depthEstimatorFile), depthProcessor, picture);
  }

  /** How often a part of the model was loaded so far; each once where all have room together. */
  get loads(): number {
    return this.#components.loads;
  }

  /** Gives all memory back; the pipeline cannot run any more. */
  async dispose(): Promise<void> {
    await this.#components.dispose();
  }

  /** An expert with what it is shown of the prompts. */
  async #prompted(expert: Expert, request: SdxlRequest): Promise<PromptedExpert> {
    const encoders = expert.textEncoders.flatMap(({ encoder }) => this.#textEncoders.get(encoder) ?? []);
    const embeddings = await encodePrompt(encoders, expert.forceZerosForEmptyPrompt, {
      prompt: request.prompt,
      negativePrompt: request.negativePrompt,
      weighted: request.weighted,
      guided: request.guidanceScale > 1 && expert.guidanceWidth === undefined,
      clipSkip: request.clipSkip,
    });
    return { expert, embeddings, unet: (beside) => this.#components.get(fileOf(expert.unet), beside) };
  }

  async #encodeReference(
    reference: SdxlReference | undefined,
    signal: AbortSignal | undefined,
  ): Promise<EncodedReference | undefined> {
    if (reference === undefined) return undefined;
    const { path } = this.model;
    if (!existsSync(join(path, vaeEncoderFile))) {
      throw unsupportedOption(
        `the model ${basename(path)} takes no reference picture: it has no ${vaeEncoderFile}. Export it again, or leave the reference out`,
      );
    }
    return encodeReference(await this.#components.get(vaeEncoderFile), this.model, reference, signal);
  }

  async #encodeImagePrompt(imagePrompt: SdxlImagePrompt | undefined): Promise<ImageEmbeddings | undefined> {
    if (imagePrompt === undefined) return undefined;
    const { imageProcessor, path } = this.model;
    if (imageProcessor === undefined) {
      throw unsupportedOption(
        `the model ${basename(path)} takes no picture beside the prompt: it has no image_encoder/ and no IP-Adapter. Export it again with them, or leave the picture out`,
      );
    }
    return encodeImagePrompt(await this.#components.get(imageEncoderFile), imageProcessor, imagePrompt);
  }

  #prepareControl(control: SdxlControl | undefined): PreparedControl | undefined {
    if (control === undefined) return undefined;
    if (!this.model.controlNets.includes(control.name)) throw noControlNet(this.model, control.name);
    const file = controlNetFile(control.name);
    return { ...control, file, component: () => this.#components.get(file), pixels: toUnitValues(control.picture) };
  }

  #scheduler({ scheduler, eta }: SdxlRequest): Scheduler {
    if (scheduler === undefined && eta === undefined) return this.#ownScheduler;
    const { className, config, path } = this.model.scheduler;
    return createScheduler(scheduler ?? className, config, path, { eta });
  }

  #checkSize({ width, height }: SdxlRequest): void {
    const scale = this.model.vaeScaleFactor;
    if (width % scale !== 0 || height % scale !== 0 || width < scale || height < scale) {
      throw invalidJob(`width and height must be multiples of ${scale}, not ${width}×${height}`);
    }
  }
}
