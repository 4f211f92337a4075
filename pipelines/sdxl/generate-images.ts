import type { PipelineHost } from "#pipelines/core/host.ts";
import type { LoadedPipeline } from "#pipelines/core/pipeline-slot.ts";
import { reportLoad, roundSeconds } from "#pipelines/diffusion/report-load.ts";
import { StageTimer } from "#pipelines/diffusion/stage-timer.ts";
import type { Generation } from "./generation-text.ts";
import { type ImageJob, type ImageParameters, imageSeeds } from "./image-job.ts";
import type { SdxlPipeline, SdxlResult } from "./pipeline.ts";

type ImageHost = PipelineHost<ImageParameters>;

/** The stage that each event of the pipeline is a part of. */
const stageNames = { encoded: "encode", prepared: "prepare", step: "denoise", decoded: "decode" } as const;

/** What is reported of a finished image job, beside its assets. */
export interface ImageJobOutput {
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * Runs an SDXL job: text to 1…6 pictures, each handed to the host as PNG with a WebP thumbnail. Image i uses
 * `seed + i`. Importing this module loads no model code: that happens when a job runs.
 * @throws PipelineError UNSUPPORTED_OPTION, INVALID_JOB, MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST,
 *   DEVICE_FAULT, NUMERICAL_ERROR or OUT_OF_MEMORY; the signal's reason when it is aborted, within one step
 */
export async function generateImages(job: ImageJob, host: ImageHost): Promise<ImageJobOutput> {
  const parameters = await host.parameters();
  const seeds = imageSeeds(parameters);
  const model = await host.model();
  const { loadedPipeline } = await import("./loaded-pipeline.ts");
  return loadedPipeline.use(
    () => host.model(),
    async (loaded) => {
      host.signal.throwIfAborted();
      reportLoad(loaded, model.name, host);
      const start = performance.now();
      const timer = new StageTimer((stage) => host.stage?.(stage));
      const result = await draw(loaded, job, parameters, seeds, host, timer);
      const generations = seeds.map((seed) => describe(job, parameters, seed, result.scheduler, model.name));
      await save(result, generations, host);
      timer.ended("save");
      const generationSeconds = (performance.now() - start) / 1000;
      return { metadata: report(result, generations, loaded, generationSeconds, job) };
    },
  );
}

function draw(
  { pipeline }: LoadedPipeline<SdxlPipeline>,
  job: ImageJob,
  parameters: ImageParameters,
  seeds: readonly number[],
  host: ImageHost,
  timer: StageTimer,
): Promise<SdxlResult> {
  const request = {
    prompt: job.prompt,
    negativePrompt: job.negative_prompt,
    width: parameters.width,
    height: parameters.height,
    numInferenceSteps: parameters.num_inference_steps,
    guidanceScale: parameters.guidance_scale,
    guidanceRescale: parameters.guidance_rescale,
    clipSkip: parameters.clip_skip,
    scheduler: parameters.scheduler,
    seeds,
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
  scheduler: string,
  model: string,
): Generation {
  const { width, height, num_inference_steps, guidance_scale, guidance_rescale, clip_skip } = parameters;
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
    model,
  };
}

async function save({ images }: SdxlResult, generations: readonly Generation[], host: ImageHost): Promise<void> {
  const [{ saveImages }, { generationTexts }] = await Promise.all([
    import("#pipelines/diffusion/save-images.ts"),
    import("./generation-text.ts"),
  ]);
  const finished = generations.map((generation, index) => {
    const image = images[index];
    if (image === undefined) throw new RangeError(`image ${index} of ${generations.length} is missing`);
    return { image, seed: generation.seed, texts: generationTexts(generation) };
  });
  await saveImages(finished, host);
}

function report(
  result: SdxlResult,
  generations: readonly Generation[],
  { pipeline, loadSeconds }: LoadedPipeline<SdxlPipeline>,
  generationSeconds: number,
  job: ImageJob,
): Record<string, unknown> {
  const { prompt: _prompt, negative_prompt: _negative, ...settings } = generations[0] ?? {};
  return {
    ...settings,
    num_images: generations.length,
    generation_time: roundSeconds(generationSeconds),
    load_time: roundSeconds(loadSeconds),
    execution_provider: pipeline.executionProvider,
    prompt_tokens: result.promptTokens,
    negative_prompt_tokens: result.negativePromptTokens,
    chunks: result.chunks,
    ...reportEnhancement(job),
  };
}

/** Prompt weights are not applied: the job still runs on the plain prompt, and says so. */
function reportEnhancement({ compel_enabled, compel_weights }: ImageJob): Record<string, unknown> {
  const wantsWeights = compel_enabled === true && (compel_weights ?? "").trim() !== "";
  if (!wantsWeights) return { enhancement_strategy: "none" };
  return {
    enhancement_strategy: "fallback",
    fallback_reason: "this pipeline applies no prompt weights: the picture was drawn from the plain prompt",
  };
}
