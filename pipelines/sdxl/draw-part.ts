import type { Component } from "#pipelines/core/onnx.ts";
import { splitBatch, type Tensor } from "#pipelines/core/tensor.ts";
import { denoise } from "#pipelines/diffusion/denoise.ts";
import { PreviewFeed } from "#pipelines/diffusion/preview.ts";
import { layOver } from "#pipelines/images/mask.ts";
import { type RgbImage, toRgbImage } from "#pipelines/images/rgb.ts";
import type { Schedule, Scheduler } from "#pipelines/schedulers/scheduler.ts";
import { decodeLatents } from "./decode.ts";
import type { PromptEmbeddings } from "./encode-prompt.ts";
import type { EncodedReference } from "./encode-reference.ts";
import type { Expert } from "./expert.ts";
import { handOverOf } from "./hand-over.ts";
import type { ImageEmbeddings } from "./image-prompt.ts";
import { timeIdsOf } from "./micro-conditions.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import { prepareLatents } from "./prepare.ts";
import type { Prepared } from "./prepared.ts";
import { previewEncoder } from "./previews.ts";
import type { SdxlControl, SdxlHooks, SdxlRequest } from "./request.ts";
import { type UnetConditions, UnetPredictor } from "./unet.ts";

/** An expert with what it is shown of the prompts. */
export interface PromptedExpert {
  readonly expert: Expert;
  readonly embeddings: PromptEmbeddings;
  /**
   * Loaded when its stage comes, where the model has no room as a whole.
   * @param beside files that stay in memory with it
   */
  unet(beside: readonly string[]): Promise<Component>;
}

/** A ControlNet's picture, and where the ControlNet is. */
export interface PreparedControl extends SdxlControl {
  /** Path in the model folder: it stays in memory beside the UNet. */
  readonly file: string;
  component(): Promise<Component>;
  /** `[1, 3, height, width]` in 0…1. */
  readonly pixels: Tensor;
}

/** What all parts of one request share. */
export interface Drawing {
  readonly model: SdxlModelFolder;
  readonly base: PromptedExpert;
  /** What ends the denoising, and the share of the noise that is gone when it begins. */
  readonly refiner: (PromptedExpert & { readonly denoisingEnd: number }) | undefined;
  vaeDecoder(): Promise<Component>;
  /** A small one, for previews; undefined where the model has none. */
  tinyDecoder(): Promise<Component | undefined>;
  readonly request: SdxlRequest;
  readonly scheduler: Scheduler;
  readonly imagePrompt: ImageEmbeddings | undefined;
  readonly control: PreparedControl | undefined;
  readonly reference: EncodedReference | undefined;
  readonly hooks: SdxlHooks;
}

/**
 * Draws the images of some of a request's seeds together: prepare, denoise, decode.
 * @param imagesDone images of the request that other parts have made before
 */
export async function drawPart(drawing: Drawing, seeds: readonly number[], imagesDone: number): Promise<RgbImage[]> {
  const { model, request, scheduler, hooks } = drawing;
  const schedule = scheduler.schedule(request.numInferenceSteps);
  const prepared = prepareLatents(model, request, schedule, seeds, drawing.reference);
  hooks.onStage?.({ name: "prepared", noise: prepared.initialNoise, latents: prepared.latents, schedule });
  const latents = await sample(drawing, schedule, prepared, imagesDone);
  return decodeImages(drawing, latents, imagesDone);
}

/** @returns the clean latents, `[images, channels, height, width]` */
async function sample(
  { model, base, refiner, tinyDecoder, request, imagePrompt, control, hooks }: Drawing,
  schedule: Schedule,
  { latents, startStep, noise, afterStep, besideLatents }: Prepared,
  imagesDone: number,
): Promise<Tensor> {
  const images = latents.dims[0] ?? 0;
  const encoder = hooks.onProgress && previewEncoder(model, await tinyDecoder());
  const previews = encoder && new PreviewFeed(encoder);
  const predictWith = (prompted: PromptedExpert, shown: Shown = {}) =>
    predictorOf(prompted, request, schedule, latents.dims, shown);
  return denoise({
    schedule,
    startStep,
    latents,
    predict: predictWith(base, { besideLatents, imagePrompt, control, startStep }),
    handOver: refiner && {
      ...handOverOf(schedule, refiner.denoisingEnd, model.scheduler.config),
      predict: predictWith(refiner),
    },
    noise,
    afterStep,
    signal: hooks.signal,
    onStep: (step) => {
      hooks.onStage?.({ name: "step", ...step });
      if (hooks.onProgress === undefined) return;
      previews?.onStep(step, schedule);
      const done = imagesDone * step.inferenceSteps + images * step.inferenceStep;
      hooks.onProgress(Math.floor(done / request.seeds.length), step.inferenceSteps, previews?.take());
    },
  });
}

/** What a UNet is shown beside prompt and latents; a refiner sees nothing of it. */
interface Shown extends Pick<UnetConditions, "besideLatents" | "imagePrompt" | "startStep"> {
  readonly control?: PreparedControl | undefined;
}

/** The expert's prediction; its UNet is loaded for the first one. */
function predictorOf(
  { expert, embeddings, unet }: PromptedExpert,
  request: SdxlRequest,
  schedule: Schedule,
  dims: readonly number[],
  { control, ...shown }: Shown,
): (latents: Tensor, stepIndex: number) => Promise<Tensor> {
  const create = async () => {
    // In this order: the UNet comes last, and leaves the ControlNet where it is.
    const controlNet = await control?.component();
    return new UnetPredictor(await unet(control === undefined ? [] : [control.file]), schedule, dims, {
      ...shown,
      embeddings,
      control: control && controlNet && { ...control, controlNet },
      timeIds: timeIdsOf(expert, request),
      guidance: { scale: request.guidanceScale, rescale: request.guidanceRescale ?? 0 },
      guidanceWidth: expert.guidanceWidth,
    });
  };
  let predictor: UnetPredictor | undefined;
  return async (latents, stepIndex) => {
    predictor ??= await create();
    return predictor.predict(latents, stepIndex);
  };
}

async function decodeImages(
  { model, vaeDecoder, request, hooks }: Drawing,
  latents: Tensor,
  imagesDone: number,
): Promise<RgbImage[]> {
  const { image: original, mask } = request.reference ?? {};
  const images: RgbImage[] = [];
  const decoder = await vaeDecoder();
  for (const [index, image] of splitBatch(latents).entries()) {
    hooks.signal?.throwIfAborted();
    const decoded = await decodeLatents(decoder, model, image, { signal: hooks.signal });
    hooks.onStage?.({ name: "decoded", index: imagesDone + index, image: decoded });
    const drawn = toRgbImage(decoded);
    const isPart = original !== undefined && mask !== undefined;
    images.push(isPart ? layOver(original, drawn, mask, model.vaeScaleFactor) : drawn);
  }
  return images;
}
