import { invalidJob } from "#pipelines/core/errors.ts";
import type { LoraHost, ReferenceHost } from "#pipelines/core/host.ts";
import type { PictureOrigin } from "#pipelines/diffusion/generation-text.ts";
import { type GenerationOutput, runGeneration } from "#pipelines/diffusion/run-generation.ts";
import type { PictureFile } from "#pipelines/diffusion/save-images.ts";
import { seedsFrom } from "#pipelines/diffusion/seeds.ts";
import type { StageTimer } from "#pipelines/diffusion/stage-timer.ts";
import type { Lora } from "#pipelines/lora/merged-graph.ts";
import { fragmentsOf } from "#pipelines/text/weights/weighted-prompt.ts";
import type { ImageJob, ImageParameters } from "./image-job.ts";
import { type JobPictures, picturesOf, reportReference } from "./job-reference.ts";
import { type PicturePlan, planPictures, reportPlan } from "./picture-plan.ts";
import type { SdxlPipeline } from "./pipeline.ts";
import { type Enhancement, readWeights } from "./read-weights.ts";
import { isStrengthOverruled } from "./reference-plan.ts";
import type { SdxlResult } from "./request.ts";

interface ImageHost extends ReferenceHost<ImageParameters>, LoraHost<ImageParameters> {
  /** For the model's weights; undefined: as the device has room. */
  readonly modelMemoryBytes?: number | undefined;
}

/** How one picture was drawn. */
interface Drawn extends PictureOrigin {
  readonly guidance_rescale: number | undefined;
  readonly clip_skip: number | undefined;
  readonly loras: readonly { readonly name: string; readonly strength: number }[] | undefined;
  /** As the job had them, where they were applied. */
  readonly compel_weights: string | undefined;
  readonly eta: number | undefined;
  readonly noise: "cpu" | "cuda" | undefined;
  /** Share of the steps that were run on the reference. */
  readonly denoise_strength?: number | undefined;
  /** Where the refiner went on. */
  readonly denoising_end: number | undefined;
  readonly aesthetic_score: number | undefined;
  readonly negative_aesthetic_score: number | undefined;
}

interface NamedLora extends Lora {
  readonly name: string;
}

/** The stage that each event of the pipeline is a part of. */
const stageNames = { encoded: "encode", prepared: "prepare", step: "denoise", decoded: "decode" } as const;

/**
 * Runs an SDXL job: a prompt, and what pictures it has, to 1…6 pictures, each handed to the host as a file with a WebP thumbnail. Image i uses
 * `seed + i`. Importing this module loads no model code: that happens when a job runs.
 * @throws PipelineError UNSUPPORTED_OPTION, INVALID_JOB, LORA_INVALID, MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE,
 *   DEVICE_LOST, DEVICE_FAULT, INPUT_INVALID, INPUT_TOO_LARGE, NUMERICAL_ERROR or OUT_OF_MEMORY; what the host's `input`
 *   and `lora` throw; the signal's reason when it is aborted, within one step
 */
export async function generateImages(job: ImageJob, host: ImageHost): Promise<GenerationOutput> {
  const parameters = await host.parameters();
  const seeds = seedsFrom(parameters.seed, parameters.num_images);
  const enhancement = readWeights(job);
  if (enhancement.strategy === "fallback") host.log.warn({ reason: enhancement.reason }, "prompt weights are left out");
  // What cannot be fetched or read is not worth the loading of a model.
  const pictures = await picturesOf(job, parameters, host);
  const loras = await findLoras(parameters, host);
  const slot = async () => (await import("./loaded-pipeline.ts")).loadedPipeline(host.modelMemoryBytes);
  return runGeneration(host, slot, async ({ pipeline, model, timer }) => {
    const plan = await planPictures(pipeline, job, parameters, pictures);
    const isCopy = pictures.reference?.plan.isCopy === true;
    const drawing = { ...parameters, enhancement, plan, isCopy, found: loras, seeds };
    const result = await draw(pipeline, job, drawing, host, timer);
    const applied = enhancement.strategy === "compel" ? job.compel_weights : undefined;
    const drawn = seeds.map((seed) => ({
      ...describe(job, parameters, seed, result, model),
      ...reportPlan(plan),
      loras: loras.length === 0 ? undefined : loras.map(({ name, strength }) => ({ name, strength })),
      compel_weights: applied,
    }));
    await save(result, drawn, host, { format: parameters.output_format, quality: parameters.output_quality });
    timer.ended("save");
    return {
      ...report(result, drawn, enhancement),
      ...reportReference(pictures.reference, plan.way, result),
      ignored: [...ignoredOf(parameters, plan, pictures), ...ignoredScores(pipeline, parameters, result)],
    };
  });
}

/** Parameters that a job of this kind reads, and this one in this model did not. */
function ignoredOf(
  parameters: ImageParameters,
  { way, reference: begun }: PicturePlan,
  { reference }: JobPictures,
): string[] {
  // PNG loses nothing, whatever the quality is.
  const isLossless = (parameters.output_format ?? "png") === "png";
  // Taken from the reference by a part that the model does not have.
  const missed = way === "img2img" ? reference?.plan.type : undefined;
  const unread = [
    ...(isLossless ? (["output_quality"] as const) : []),
    ...(missed === "composition"
      ? (["controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end"] as const)
      : []),
    ...(missed === "style" || missed === "character" ? (["ip_adapter_scale"] as const) : []),
  ];
  const given = unread.filter((name) => parameters[name] !== undefined);
  const { plan } = reference ?? {};
  const isOverruled = plan !== undefined && isStrengthOverruled(plan, way, begun !== undefined, parameters);
  return isOverruled ? [...given, plan.strengthField] : given;
}

/** What a refiner is shown, in a model where none played a part. */
function ignoredScores({ model }: SdxlPipeline, parameters: ImageParameters, { denoisingEnd }: SdxlResult): string[] {
  if (denoisingEnd !== undefined || model.base.takesAestheticScore) return [];
  return (["aesthetic_score", "negative_aesthetic_score"] as const).filter((name) => parameters[name] !== undefined);
}

/** Downloads come before the model's turn: a slow server then holds no model. */
async function findLoras({ loras = [] }: ImageParameters, host: ImageHost): Promise<NamedLora[]> {
  const found: NamedLora[] = [];
  for (const { source, phases } of loras) {
    const { file, version, name } = await host.lora(source);
    // Under two names it would be merged twice.
    const same = found.find((other) => other.version === version);
    if (same !== undefined) throw invalidJob(`"${same.name}" and "${name}" are the same LoRA file: name it once`);
    found.push({ path: file, version, name, strength: phases[0]?.[0] ?? 1 });
  }
  return found;
}

interface DrawParameters extends ImageParameters {
  readonly enhancement: Enhancement;
  readonly plan: PicturePlan;
  readonly isCopy: boolean;
  readonly found: readonly NamedLora[];
  readonly seeds: readonly number[];
}

function draw(
  pipeline: SdxlPipeline,
  job: ImageJob,
  parameters: DrawParameters,
  host: ImageHost,
  timer: StageTimer,
): Promise<SdxlResult> {
  const { enhancement, plan } = parameters;
  const request = {
    prompt: job.prompt,
    negativePrompt: job.negative_prompt,
    weighted: enhancement.strategy === "compel" ? enhancement.prompts : undefined,
    width: parameters.width,
    height: parameters.height,
    numInferenceSteps: parameters.num_inference_steps,
    guidanceScale: parameters.guidance_scale,
    guidanceRescale: parameters.guidance_rescale,
    clipSkip: parameters.clip_skip,
    scheduler: parameters.scheduler,
    eta: parameters.eta,
    noise: parameters.noise,
    // A refiner would add what the reference does not have.
    denoisingEnd: parameters.denoising_end ?? (parameters.isCopy ? 1 : undefined),
    aestheticScore: parameters.aesthetic_score,
    negativeAestheticScore: parameters.negative_aesthetic_score,
    seeds: parameters.seeds,
    reference: plan.reference,
    control: plan.control,
    imagePrompt: plan.imagePrompt,
    loras: parameters.found,
  };
  return pipeline.generate(request, {
    signal: host.signal,
    onProgress(step, total, preview) {
      host.progress(step, total, preview === undefined ? undefined : { mimeType: "image/webp", bytes: preview });
    },
    onStage: ({ name }) => timer.reached(stageNames[name]),
  });
}

function describe(
  job: ImageJob,
  parameters: ImageParameters,
  seed: number,
  { scheduler, denoisingEnd }: SdxlResult,
  model: string,
): Omit<Drawn, "compel_weights" | "denoise_strength" | "loras"> {
  const { width, height, num_inference_steps, guidance_scale, guidance_rescale, clip_skip, eta, noise } = parameters;
  const { aesthetic_score, negative_aesthetic_score } = parameters;
  return {
    prompt: job.prompt,
    negative_prompt: job.negative_prompt,
    seed,
    width,
    height,
    num_inference_steps,
    guidance_scale,
    guidance_rescale,
    clip_skip,
    scheduler,
    eta,
    noise,
    denoising_end: denoisingEnd,
    aesthetic_score,
    negative_aesthetic_score,
    model,
  };
}

async function save(
  { images, sampler }: SdxlResult,
  drawn: readonly Drawn[],
  host: ImageHost,
  file: PictureFile,
): Promise<void> {
  const [{ saveImages }, { generationTexts }] = await Promise.all([
    import("#pipelines/diffusion/save-images.ts"),
    import("#pipelines/diffusion/generation-text.ts"),
  ]);
  const finished = drawn.map((origin, index) => {
    const image = images[index];
    if (image === undefined) throw new RangeError(`image ${index} of ${drawn.length} is missing`);
    const { clip_skip, guidance_rescale, denoise_strength, denoising_end } = origin;
    // The web UI counts from the last layer, where diffusers' 0 is the one before it.
    const clipSkip = clip_skip === undefined ? undefined : clip_skip + 2;
    const texts = generationTexts(origin, sampler, {
      "Clip skip": clipSkip,
      "CFG rescale": guidance_rescale,
      "Denoising strength": denoise_strength,
      "Refiner switch at": denoising_end,
    });
    return { image, seed: origin.seed, texts };
  });
  await saveImages(finished, host, file);
}

function report(result: SdxlResult, drawn: readonly Drawn[], enhancement: Enhancement): Record<string, unknown> {
  const { prompt: _prompt, negative_prompt: _negative, ...settings } = drawn[0] ?? {};
  return {
    ...settings,
    num_images: drawn.length,
    prompt_tokens: result.promptTokens,
    negative_prompt_tokens: result.negativePromptTokens,
    chunks: result.chunks,
    ...reportEnhancement(enhancement),
  };
}

function reportEnhancement(enhancement: Enhancement): Record<string, unknown> {
  const { strategy: enhancement_strategy } = enhancement;
  switch (enhancement.strategy) {
    case "none":
      return { enhancement_strategy, final_prompt_type: "string" };
    case "fallback":
      return { enhancement_strategy, fallback_reason: enhancement.reason, final_prompt_type: "string" };
    case "compel": {
      const used = fragmentsOf(enhancement.prompts.positive).filter(({ weight }) => weight !== 1);
      return { enhancement_strategy, prompt_weights: used, final_prompt_type: "conditioning_tensor" };
    }
  }
}
