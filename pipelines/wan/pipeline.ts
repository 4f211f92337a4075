import { ComponentSet } from "#pipelines/core/component-set.ts";
import { roomForWeights } from "#pipelines/core/device-memory.ts";
import { invalidJob } from "#pipelines/core/errors.ts";
import type { SessionSettings } from "#pipelines/core/onnx.ts";
import { scaleInPlace, type Tensor } from "#pipelines/core/tensor.ts";
import { type DenoiseStep, denoise } from "#pipelines/diffusion/denoise.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import { ownScheduler } from "#pipelines/diffusion/model-configs.ts";
import { type NoiseKind, NoiseSource } from "#pipelines/diffusion/noise.ts";
import { PreviewFeed } from "#pipelines/diffusion/preview.ts";
import { framesFrom, setFrame, toRgbFrames } from "#pipelines/diffusion/video-frames.ts";
import { videoPreview } from "#pipelines/diffusion/video-preview.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { createFlowScheduler, flowShiftOf } from "#pipelines/schedulers/index.ts";
import type { Schedule, Scheduler } from "#pipelines/schedulers/scheduler.ts";
import { defaultFps } from "./clip-job.ts";
import { type ClipShape, checkShapeOf, type Grid, latentGrid, tokenGrid } from "./clip-shape.ts";
import type { WanCondition } from "./condition.ts";
import type { Conditioning } from "./conditioning.ts";
import { type DecodeVideoOptions, decodeVideo } from "./decode-video.ts";
import { type PromptEmbedding, padEmbedding } from "./encode-prompt.ts";
import { latentRgbOf } from "./latent-rgb.ts";
import { files, readModelFolder, type WanModelFolder } from "./model-folder.ts";
import { checkCondition } from "./model-tasks.ts";
import { PictureEncoder } from "./picture-encoder.ts";
import { prepareConditioning } from "./prepare-conditioning.ts";
import { type WanProgress, wanProgress } from "./progress.ts";
import { maxPromptTokens, PromptEncoder } from "./prompt-encoder.ts";
import { type RotaryTables, rotaryTables } from "./rotary.ts";
import { type TransformerConditions, TransformerPredictor } from "./transformer.ts";

/**
 * Width and height are multiples of the VAE's scale times the patch size (16). The model makes 4n+1 frames, the next that are
 * enough; what is too many is dropped.
 */
export interface WanRequest extends ClipShape {
  readonly prompt: string;
  readonly negativePrompt?: string | undefined;
  readonly numInferenceSteps: number;
  /** Up to 1: no guidance, and half the computation. */
  readonly guidanceScale: number;
  /** Of the second transformer; the same when absent. */
  readonly guidanceScale2?: number | undefined;
  /** Timestep from which on (downwards) the second transformer predicts; the model's own when absent. */
  readonly switchTimestep?: number | undefined;
  /** How far the steps are moved towards noise; the model's own when absent. */
  readonly flowShift?: number | undefined;
  /** A class name of diffusers or a friendly name; the model's own scheduler when absent. */
  readonly scheduler?: string | undefined;
  readonly seed: number;
  /** Whose random numbers the seed stands for: torch's on a CPU (when absent), or on a GPU. */
  readonly noise?: NoiseKind | undefined;
  /** Of the finished clip: previews play at its speed. */
  readonly fps?: number | undefined;
  /** What the clip is made from beside the prompt. */
  readonly condition?: WanCondition | undefined;
}

export interface WanHooks {
  readonly signal?: AbortSignal | undefined;
  /** On one scale over all stages. */
  onProgress?(done: number, total: number, preview: Uint8Array | undefined): void;
  /** What the stages made, for timing and for comparing with a reference; tensors are only valid until it returns. */
  onStage?(stage: WanStage): void;
}

export type WanStage =
  | { readonly name: "encoded"; readonly prompt: Tensor; readonly negativePrompt: Tensor | undefined }
  | { readonly name: "conditioned"; readonly conditioning: Conditioning }
  | { readonly name: "prepared"; readonly noise: Tensor; readonly schedule: Schedule; readonly rotary: RotaryTables }
  | ({ readonly name: "step" } & DenoiseStep)
  | { readonly name: "decoded"; readonly frames: Tensor };

export interface WanResult {
  /** diffusers' class name. */
  readonly scheduler: string;
  /** That of the request, or the model's own. */
  readonly flowShift: number;
  /** Without guidance a negative prompt and a second guidance scale count nothing. */
  readonly isGuided: boolean;
  /** Tokens that were read, end mark included, and those that the encoder has no room for. */
  readonly promptTokens: number;
  readonly promptTokensCut: number;
  readonly negativePromptTokensCut: number;
}

export interface WanSettings extends SessionSettings, Pick<DecodeVideoOptions, "tileAbovePixels" | "tilePixels"> {
  /**
   * How many bytes of weights, as their files have them, may be in memory together; when absent, as the device has room. A
   * part that has no room beside the others makes them go, and they are loaded again when their stage comes.
   */
  readonly maxWeightBytes?: number | undefined;
  readonly embeddings?: EmbeddingCache | undefined;
}

/** Takes the frames in their order, and holds the decoding up until it is ready for the next. */
export type FrameSink = (frame: RgbImage, index: number) => Promise<void>;

/** WAN 2.1 and two-stage WAN 2.2, as diffusers' pipelines for them compute it; what a folder can do, its `tasks` say. */
export class WanPipeline {
  readonly model: WanModelFolder;
  readonly #components: ComponentSet;
  readonly #promptEncoder: PromptEncoder;
  readonly #pictureEncoder: PictureEncoder | undefined;
  readonly #settings: WanSettings;
  #executionProvider: "cpu" | "cuda" = "cpu";
  #cudaProblem: string | undefined;
  /** Of the last run: jobs of one size share them. */
  #rotary: { readonly key: string; readonly tables: RotaryTables } | undefined;

  private constructor(
    model: WanModelFolder,
    components: ComponentSet,
    encoders: { readonly prompts: PromptEncoder; readonly pictures: PictureEncoder | undefined },
    settings: WanSettings,
  ) {
    this.model = model;
    this.#components = components;
    this.#promptEncoder = encoders.prompts;
    this.#pictureEncoder = encoders.pictures;
    this.#settings = settings;
  }

  /**
   * Opens a model folder. A model that has room as a whole is loaded; of a larger one each part comes when its stage does.
   * What was loaded before a failure is given back.
   * @throws PipelineError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST or DEVICE_FAULT
   */
  static async load(folder: string, settings: WanSettings = {}): Promise<WanPipeline> {
    const model = await readModelFolder(folder);
    const { className, config, path } = model.scheduler;
    ownScheduler(model.scheduler, () => createFlowScheduler(className, config, path));
    const components = new ComponentSet(folder, settings);
    try {
      const cache = settings.embeddings ?? new EmbeddingCache();
      const prompts = await PromptEncoder.create(folder, components, cache);
      const { imageProcessor } = model;
      const pictures = imageProcessor && (await PictureEncoder.create(folder, components, imageProcessor, cache));
      const pipeline = new WanPipeline(model, components, { prompts, pictures }, settings);
      await pipeline.#loadAhead();
      return pipeline;
    } catch (error) {
      await components.dispose();
      throw error;
    }
  }

  /** Where the model runs. */
  get executionProvider(): "cpu" | "cuda" {
    return this.#executionProvider;
  }

  /** Why it runs on the CPU although CUDA's library is installed. */
  get cudaProblem(): string | undefined {
    return this.#cudaProblem;
  }

  /** ONNX files that are in memory, in the order of their loading. */
  get inMemory(): readonly string[] {
    return this.#components.inMemory;
  }

  /** Time spent inside ONNX Runtime since loading: all the rest is this code's own. */
  get millisecondsInRun(): number {
    return this.#components.millisecondsInRun;
  }

  /** How often a part of the model was loaded, and the time spent on that, those that were loaded again included. */
  get loading(): { readonly loads: number; readonly seconds: number } {
    return { loads: this.#components.loads, seconds: this.#components.secondsLoading };
  }

  /**
   * Makes one clip. Frames are handed to `sink` as they are decoded.
   * @throws PipelineError INVALID_JOB, UNSUPPORTED_OPTION, NUMERICAL_ERROR or OUT_OF_MEMORY; what `sink` throws; the
   *   signal's reason, within one run of a model
   */
  async generate(request: WanRequest, sink: FrameSink, hooks: WanHooks = {}): Promise<WanResult> {
    checkShapeOf(this.model, request);
    checkCondition(this.model, request.condition);
    if (this.model.secondStage === undefined) refuseSecondStage(request);
    const scheduler = this.#scheduler(request);
    const scale = wanProgress(this.model, request.condition);
    const isGuided = request.guidanceScale > 1;
    const prompts = isGuided ? [request.prompt, request.negativePrompt ?? ""] : [request.prompt];
    const [prompt, negativePrompt] = await this.#promptEncoder.encode(prompts, hooks.signal);
    if (prompt === undefined) throw new RangeError("the prompt's embedding is missing");
    const text = { prompt: pad(prompt), negativePrompt: negativePrompt && pad(negativePrompt) };
    hooks.onStage?.({ name: "encoded", ...text });
    hooks.onProgress?.(scale.at("encode", 1, 1), scale.total, undefined);
    hooks.signal?.throwIfAborted();

    const beside = await this.#conditioning(request, scale, hooks);
    const latents = await this.#denoise(request, scheduler, { ...text, beside }, scale, hooks);
    await this.#decode(request, latents, sink, scale, hooks);
    return {
      scheduler: scheduler.className,
      flowShift: flowShiftOf(this.model.scheduler.config, request),
      isGuided,
      promptTokens: prompt.hidden.dims[0] ?? 0,
      promptTokensCut: prompt.cutTokens,
      negativePromptTokensCut: negativePrompt?.cutTokens ?? 0,
    };
  }

  /** Gives all memory back; the pipeline cannot run any more. */
  async dispose(): Promise<void> {
    await this.#components.dispose();
  }

  async #loadAhead(): Promise<void> {
    // The smallest part shows where parts of this model run.
    const { executionProvider, cudaProblem } = await this.#components.get(files.vaeFirst);
    this.#executionProvider = executionProvider;
    this.#cudaProblem = cudaProblem;
    const maxBytes = this.#settings.maxWeightBytes ?? (await roomForWeights(executionProvider));
    const { weightBytes, rarelyUsed, optional } = this.model;
    this.#components.limitMemory({ maxBytes, weightBytes, rarelyUsed });
    const usual = [...weightBytes.keys()].filter((file) => !optional.includes(file));
    if (!this.#components.fits(usual)) return;
    await this.#promptEncoder.load();
    for (const file of usual) await this.#components.get(file);
  }

  async #conditioning(request: WanRequest, scale: WanProgress, hooks: WanHooks): Promise<Conditioning> {
    if (request.condition === undefined && this.model.controlLayers === 0) return {};
    const { signal, onStage } = hooks;
    const onProgress = (share: number) => hooks.onProgress?.(scale.at("condition", share, 1), scale.total, undefined);
    const { tileAbovePixels, tilePixels } = this.#settings;
    const parts = {
      components: this.#components,
      model: this.model,
      encoding: { signal, tileAbovePixels, tilePixels, onProgress },
      pictures: this.#pictureEncoder,
    };
    const conditioning = await prepareConditioning(parts, request, request.condition);
    onStage?.({ name: "conditioned", conditioning });
    signal?.throwIfAborted();
    return conditioning;
  }

  async #denoise(
    request: WanRequest,
    scheduler: Scheduler,
    given: Pick<TransformerConditions, "prompt" | "negativePrompt"> & { readonly beside: Conditioning },
    scale: WanProgress,
    hooks: WanHooks,
  ): Promise<Tensor> {
    const { leadingFrames = 0, firstFrame, steer } = given.beside;
    const [frames, height, width] = latentGrid(this.model, request);
    const grid = [leadingFrames + frames, height, width] as const;
    const schedule = scheduler.schedule(request.numInferenceSteps);
    const noise = new NoiseSource([request.seed], request.noise).draw([this.model.latentChannels, ...grid]);
    const rotary = this.#rotaryFor(grid);
    hooks.onStage?.({ name: "prepared", noise, schedule, rotary });
    const steering = steer?.(schedule);
    const { guidanceScale } = request;
    const conditions = { ...given, rotary, byToken: this.#byToken(grid), guidanceScale, second: this.#second(request) };
    const predictor = new TransformerPredictor(this.#components, schedule, conditions);
    const previews = this.#previews(request, leadingFrames);
    const latents = await denoise({
      schedule,
      latents: scaleInPlace(noise, schedule.initNoiseSigma),
      async predict(sample, stepIndex) {
        const velocity = await predictor.predict(sample, stepIndex, hooks.signal);
        steering?.steer(velocity, sample, stepIndex);
        return velocity;
      },
      turns: steering?.turns,
      signal: hooks.signal,
      onStep: (step) => {
        hooks.onStage?.({ name: "step", ...step });
        if (hooks.onProgress === undefined) return;
        previews?.onStep(step, schedule);
        hooks.onProgress(scale.at("denoise", step.step, step.total), scale.total, previews?.take());
      },
    });
    if (firstFrame !== undefined) setFrame(latents, 0, firstFrame);
    return clipOf(latents, leadingFrames);
  }

  async #decode(
    request: WanRequest,
    latents: Tensor,
    sink: FrameSink,
    scale: WanProgress,
    hooks: WanHooks,
  ): Promise<void> {
    const { tileAbovePixels, tilePixels } = this.#settings;
    const options = { signal: hooks.signal, tileAbovePixels, tilePixels };
    let index = 0;
    for await (const chunk of decodeVideo(this.#components, this.model, latents, options)) {
      hooks.onStage?.({ name: "decoded", frames: chunk });
      for (const frame of toRgbFrames(chunk).slice(0, request.frames - index)) {
        hooks.signal?.throwIfAborted();
        await sink(frame, index++);
      }
      hooks.onProgress?.(scale.at("decode", index, request.frames), scale.total, undefined);
    }
  }

  #scheduler({ scheduler, flowShift }: WanRequest): Scheduler {
    const { className, config, path } = this.model.scheduler;
    return createFlowScheduler(scheduler ?? className, config, path, { flowShift });
  }

  #previews({ fps = defaultFps }: WanRequest, leadingFrames: number): PreviewFeed | undefined {
    const latentRgb = latentRgbOf(this.model);
    if (latentRgb === undefined) return undefined;
    const encode = videoPreview(latentRgb, fps, this.model.temporalScale);
    return new PreviewFeed((latents) => encode(clipOf(latents, leadingFrames)));
  }

  #byToken(latents: Grid): TransformerConditions["byToken"] {
    if (!this.model.timestepPerToken) return undefined;
    const [frames, height, width] = tokenGrid(this.model, latents);
    return { tokens: frames * height * width, ofFirstFrame: height * width };
  }

  #second(request: WanRequest): TransformerConditions["second"] {
    const { secondStage } = this.model;
    if (secondStage === undefined) return undefined;
    return {
      boundaryTimestep: request.switchTimestep ?? secondStage.boundaryTimestep,
      guidanceScale: request.guidanceScale2 ?? request.guidanceScale,
    };
  }

  #rotaryFor(latents: Grid): RotaryTables {
    const grid = tokenGrid(this.model, latents);
    const key = grid.join("×");
    if (this.#rotary?.key !== key) this.#rotary = { key, tables: rotaryTables(grid, this.model.headDim) };
    return this.#rotary.tables;
  }
}

/** @throws PipelineError INVALID_JOB naming what a model with one transformer would ignore */
function refuseSecondStage({ guidanceScale2, switchTimestep }: WanRequest): void {
  for (const [name, value] of Object.entries({ guidance_scale_2: guidanceScale2, switch_threshold: switchTimestep })) {
    if (value === undefined) continue;
    throw invalidJob(`${name} is for models with two transformers; this one has one: leave it out`);
  }
}

/** The latents of the clip itself. */
function clipOf(latents: Tensor, leadingFrames: number): Tensor {
  return leadingFrames === 0 ? latents : framesFrom(latents, leadingFrames);
}

function pad(embedding: PromptEmbedding): Tensor {
  return padEmbedding(embedding, maxPromptTokens);
}
