import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { freeMachineBytes, roomForWeights } from "#pipelines/core/device-memory.ts";
import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";
import type { SessionSettings } from "#pipelines/core/onnx.ts";
import { cpuBytesOf, weightBytesOf } from "#pipelines/core/weight-bytes.ts";
import { ownScheduler } from "#pipelines/diffusion/model-configs.ts";
import { runInParts } from "#pipelines/diffusion/parts.ts";
import type { Placed } from "#pipelines/diffusion/report-load.ts";
import { LoraWeights } from "#pipelines/lora/lora-weights.ts";
import { createScheduler } from "#pipelines/schedulers/index.ts";
import type { Scheduler } from "#pipelines/schedulers/scheduler.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { drawPart } from "./draw-part.ts";
import { encodePrompt } from "./encode-prompt.ts";
import { checkReference, type EncodedReference, encodeReference } from "./encode-reference.ts";
import { readModelFolder, type SdxlModelFolder } from "./model-folder.ts";
import type { SdxlHooks, SdxlReference, SdxlRequest, SdxlResult } from "./request.ts";
import { startStepOf } from "./start-step.ts";
import { TextEncoder } from "./text-encoder.ts";
import { sizeIds } from "./unet.ts";

/** Loaded when the first reference comes: most jobs have none. */
const vaeEncoderFile = "vae_encoder/model.onnx";

/** Makes previews; loaded for the first job that reports any. */
const tinyDecoderFile = "vae_decoder_tiny/model.onnx";

/** In the order in which a run uses them. */
const files = {
  textEncoder: "text_encoder/model.onnx",
  textEncoder2: "text_encoder_2/model.onnx",
  unet: "unet/model.onnx",
  vaeDecoder: "vae_decoder/model.onnx",
} as const;

export interface SdxlSettings extends SessionSettings {
  /**
   * Pixels that one run of the UNet takes together, all images of a part counted. By default three of 1024 × 1024: with
   * guidance a batch of six.
   */
  readonly pixelsPerPart?: number | undefined;
  /**
   * How many bytes of weights may be in memory together; when absent, as the device has room. On a CPU as they are there, in
   * float32; on a GPU as their files have them.
   */
  readonly maxWeightBytes?: number | undefined;
  /** Bytes that the machine can still give; replaced in tests. */
  freeBytes?(): Promise<number>;
}

/** Of what is free on a machine: the rest is for what a run needs beside the weights. */
const shareOfMachine = 0.8;

/** The files whose weights count, the encoder for references where the folder has one, as a run uses them. */
function filesInOrder(folder: string): string[] {
  const { textEncoder, textEncoder2, unet, vaeDecoder } = files;
  const encoder = existsSync(join(folder, vaeEncoderFile)) ? [vaeEncoderFile] : [];
  return [textEncoder, textEncoder2, ...encoder, unet, vaeDecoder];
}

/** Loads what has room, and finds where the model runs. @throws PipelineError MODEL_TOO_LARGE before the first large part */
async function loadAhead(folder: string, components: ComponentSet, settings: SdxlSettings): Promise<Placed> {
  const fileBytes = await weightBytesOf(folder, filesInOrder(folder));
  // The smallest part shows where parts of this model run.
  const { executionProvider, cudaProblem } = await components.get(files.vaeDecoder);
  const { freeBytes = freeMachineBytes, maxWeightBytes } = settings;
  const rarelyUsed = [vaeEncoderFile];
  if (executionProvider === "cpu") {
    const weightBytes = await cpuBytesOf(folder, fileBytes);
    const maxBytes = maxWeightBytes ?? Math.floor((await freeBytes()) * shareOfMachine);
    components.limitMemory({ maxBytes, weightBytes, rarelyUsed, freeBytes });
  } else {
    const maxBytes = maxWeightBytes ?? (await roomForWeights(executionProvider));
    components.limitMemory({ maxBytes, weightBytes: fileBytes, rarelyUsed });
  }
  await components.checkRoom();
  const always = Object.values(files);
  if (components.fits(always)) for (const file of always) await components.get(file);
  return { executionProvider, cudaProblem };
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
  readonly #textEncoders: readonly [TextEncoder, TextEncoder];
  readonly #loras: LoraWeights;
  readonly #pixelsPerPart: number;

  private constructor(
    model: SdxlModelFolder,
    ownScheduler: Scheduler,
    components: ComponentSet,
    tokenizers: readonly [ClipTokenizer, ClipTokenizer],
    place: Placed,
    pixelsPerPart: number,
  ) {
    this.model = model;
    this.#ownScheduler = ownScheduler;
    this.#components = components;
    this.#textEncoders = [
      new TextEncoder(tokenizers[0], components, files.textEncoder),
      new TextEncoder(tokenizers[1], components, files.textEncoder2),
    ];
    this.#loras = new LoraWeights(components, {
      unet: files.unet,
      text_encoder: files.textEncoder,
      text_encoder_2: files.textEncoder2,
    });
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
      const tokenizers = [
        await ClipTokenizer.load(join(folder, "tokenizer")),
        await ClipTokenizer.load(join(folder, "tokenizer_2")),
      ] as const;
      const place = await loadAhead(folder, components, settings);
      const pixelsPerPart = settings.pixelsPerPart ?? defaultPixelsPerPart;
      return new SdxlPipeline(model, scheduler, components, tokenizers, place, pixelsPerPart);
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
   * @throws PipelineError INVALID_JOB, UNSUPPORTED_OPTION, LORA_INVALID, DISK_FULL, NUMERICAL_ERROR or OUT_OF_MEMORY; the
   *   signal's reason
   */
  async generate(request: SdxlRequest, hooks: SdxlHooks = {}): Promise<SdxlResult> {
    this.#checkSize(request);
    checkReference(this.model, request.reference);
    const scheduler = this.#scheduler(request);
    const skipped = request.reference === undefined ? 0 : startStepOf(request.numInferenceSteps, request.reference);
    hooks.signal?.throwIfAborted();
    await this.#loras.use(request.loras ?? [], hooks.signal);
    const embeddings = await encodePrompt(this.#textEncoders, this.model.forceZerosForEmptyPrompt, {
      prompt: request.prompt,
      negativePrompt: request.negativePrompt,
      weighted: request.weighted,
      guided: request.guidanceScale > 1,
      clipSkip: request.clipSkip,
    });
    hooks.onStage?.({ name: "encoded", embeddings, timeIds: sizeIds(request) });

    const partSize = Math.floor(this.#pixelsPerPart / (request.width * request.height));
    const reference = await this.#encodeReference(request.reference);
    const unet = () => this.#components.get(files.unet);
    const vaeDecoder = () => this.#components.get(files.vaeDecoder);
    const tinyDecoder = async () =>
      this.model.tinyDecoder === undefined ? undefined : this.#components.get(tinyDecoderFile);
    const parts = { unet, vaeDecoder, tinyDecoder };
    const drawing = { model: this.model, ...parts, request, scheduler, embeddings, reference, hooks };
    const images = await runInParts(request.seeds, partSize, (seeds, imagesDone) =>
      drawPart(drawing, seeds, imagesDone),
    );
    const { promptTokens, negativePromptTokens, chunks } = embeddings;
    const steps = request.numInferenceSteps - skipped;
    return { images, scheduler: scheduler.className, promptTokens, negativePromptTokens, chunks, steps };
  }

  /** How often a part of the model was loaded so far; each once where all have room together. */
  get loads(): number {
    return this.#components.loads;
  }

  /** Gives all memory back; the pipeline cannot run any more. */
  async dispose(): Promise<void> {
    await this.#components.dispose();
  }

  async #encodeReference(reference: SdxlReference | undefined): Promise<EncodedReference | undefined> {
    if (reference === undefined) return undefined;
    const { path } = this.model;
    if (!existsSync(join(path, vaeEncoderFile))) {
      throw unsupportedOption(
        `the model ${basename(path)} takes no reference picture: it has no ${vaeEncoderFile}. Export it again, or leave the reference out`,
      );
    }
    return encodeReference(await this.#components.get(vaeEncoderFile), this.model, reference);
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
