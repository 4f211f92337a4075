import type { VideoHost } from "#pipelines/core/host.ts";
import type { PictureOrigin } from "#pipelines/diffusion/generation-text.ts";
import { roundSeconds } from "#pipelines/diffusion/report-load.ts";
import { type GenerationOutput, runGeneration } from "#pipelines/diffusion/run-generation.ts";
import { seedsFrom } from "#pipelines/diffusion/seeds.ts";
import type { StageTimer } from "#pipelines/diffusion/stage-timer.ts";
import type { ClipFile } from "./clip-file.ts";
import { type ClipJob, type ClipParameters, defaultFps, type FrameRule, framesToMake } from "./clip-job.ts";
import type { LoadingHost } from "./loaded-pipeline.ts";
import type { WanPipeline, WanResult } from "./pipeline.ts";
import { checkTask } from "./task.ts";

export interface ClipHost extends VideoHost<ClipParameters>, LoadingHost {}

/** The stage that each event of the pipeline is a part of. */
const stageNames = { encoded: "encode", prepared: "prepare", step: "denoise", decoded: "decode" } as const;

/** A job's parameters with what is decided before its model is loaded. */
interface Request extends ClipParameters {
  readonly seed: number;
  readonly fps: number;
  readonly framesRequested: number;
  readonly container: ClipParameters["video_format"];
  readonly contactSheet: boolean | undefined;
}

interface Plan extends Request {
  /** As many as the model makes of those that were requested. */
  readonly frames: number;
}

/**
 * Runs a WAN job: text to one clip, handed to the host as MP4 with a thumbnail, or to one frame, handed over as PNG.
 * Importing this module loads no model code: that happens when a job runs.
 * @param rule what becomes of a number of frames that the model does not make
 * @throws PipelineError UNSUPPORTED_OPTION, INVALID_JOB, MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST,
 *   DEVICE_FAULT, NUMERICAL_ERROR, OUT_OF_MEMORY, FFMPEG_MISSING, ENCODING_FAILED or DISK_FULL; the signal's reason when
 *   it is aborted, within one run of a model
 */
export async function generateClip(job: ClipJob, host: ClipHost, rule: FrameRule): Promise<GenerationOutput> {
  const request = requestOf(await host.parameters());
  checkTask(request.task, (await host.model()).name, request.framesRequested);
  // What could not be encoded is not worth minutes of denoising.
  if (request.framesRequested > 1) await (await import("#pipelines/video/video-encoder.ts")).checkVideoEncoder(request);
  const slot = async () => (await import("./loaded-pipeline.ts")).loadedPipeline(host);
  return runGeneration(host, slot, async ({ pipeline, model, timer }) => {
    const { openClipFile } = await import("./clip-file.ts");
    const plan = { ...request, frames: framesToMake(request.framesRequested, rule, pipeline.model.temporalScale) };
    const file = openClipFile(host, plan, (scheduler) => originOf(job, plan, scheduler, model));
    const before = pipeline.loading;
    const { result, saved } = await draw(pipeline, job, plan, host, timer, file);
    timer.ended("save");
    warnOfCuts(result, host);
    return { ...report(job, plan, model, result, saved), ...reportLoading(before, pipeline.loading, host) };
  });
}

/** Clips of exactly as many frames as the job says; one frame is a picture. */
export function generateExactClip(job: ClipJob, host: ClipHost): Promise<GenerationOutput> {
  return generateClip(job, host, "exact");
}

/** Clips of the classic types: 4n+1 frames, rounded down. */
export function generateRoundedClip(job: ClipJob, host: ClipHost): Promise<GenerationOutput> {
  return generateClip(job, host, "rounded");
}

function requestOf(parameters: ClipParameters): Request {
  const [seed = 0] = seedsFrom(parameters.seed, 1);
  return {
    ...parameters,
    seed,
    fps: parameters.fps ?? defaultFps,
    framesRequested: parameters.frame_num ?? 1,
    container: parameters.video_format,
    contactSheet: parameters.contact_sheet,
  };
}

async function draw(
  pipeline: WanPipeline,
  job: ClipJob,
  plan: Plan,
  host: ClipHost,
  timer: StageTimer,
  file: ClipFile,
): Promise<{ readonly result: WanResult; readonly saved: Readonly<Record<string, unknown>> }> {
  const request = {
    prompt: job.prompt,
    negativePrompt: job.negative_prompt,
    width: plan.width,
    height: plan.height,
    frames: plan.frames,
    numInferenceSteps: plan.num_inference_steps,
    guidanceScale: plan.guidance_scale,
    guidanceScale2: plan.guidance_scale_2,
    switchTimestep: plan.switch_threshold,
    flowShift: plan.flow_shift,
    scheduler: plan.scheduler,
    seed: plan.seed,
    fps: plan.fps,
  };
  try {
    const result = await pipeline.generate(request, (frame) => file.add(frame), {
      signal: host.signal,
      onProgress(done, total, preview) {
        host.progress(done, total, preview === undefined ? undefined : { mimeType: "image/webp", bytes: preview });
      },
      onStage: ({ name }) => timer.reached(stageNames[name]),
    });
    return { result, saved: await file.finish(result.scheduler) };
  } catch (error) {
    await file.abort();
    throw error;
  }
}

function originOf(job: ClipJob, plan: Plan, scheduler: string, model: string): PictureOrigin & Record<string, unknown> {
  const { seed, width, height, num_inference_steps, guidance_scale } = plan;
  const { guidance_scale_2, switch_threshold, flow_shift } = plan;
  return {
    prompt: job.prompt,
    negative_prompt: job.negative_prompt,
    ...{ seed, width, height, num_inference_steps, guidance_scale, guidance_scale_2, switch_threshold, flow_shift },
    ...{ scheduler, model },
  };
}

function warnOfCuts({ promptTokens, promptTokensCut, negativePromptTokensCut }: WanResult, { log }: ClipHost): void {
  if (promptTokensCut + negativePromptTokensCut === 0) return;
  const counts = { promptTokens, promptTokensCut, negativePromptTokensCut };
  log.warn(counts, "the prompt is longer than the model reads: its end was left out");
}

function report(
  job: ClipJob,
  plan: Plan,
  model: string,
  result: WanResult,
  saved: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { prompt: _prompt, negative_prompt: _negative, ...settings } = originOf(job, plan, result.scheduler, model);
  return {
    ...settings,
    flow_shift: result.flowShift,
    ignored: ignoredBy(job, plan, result),
    ...(plan.task === undefined ? {} : { wan_task: plan.task }),
    reference_mode: "none",
    content_type: plan.frames === 1 ? "image" : "video",
    frame_num: plan.frames,
    ...(plan.frames === plan.framesRequested ? {} : { frame_num_requested: plan.framesRequested }),
    prompt_tokens: result.promptTokens,
    ...cutsOf(result),
    ...saved,
    ...reportEnhancement(job),
  };
}

/** What was given for guidance where there was none. */
function ignoredBy(job: ClipJob, plan: Plan, { isGuided }: WanResult): string[] {
  if (isGuided) return [];
  const { guidance_scale_2 } = plan;
  const given = { negative_prompt: job.negative_prompt, guidance_scale_2 };
  return Object.entries(given).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [name]));
}

/** What a model that is too large for its memory had to load during the job; nothing of one that stays whole. */
function reportLoading(
  before: WanPipeline["loading"],
  after: WanPipeline["loading"],
  { log }: ClipHost,
): Record<string, number> {
  if (after.loads === before.loads) return {};
  const loaded = {
    parts_loaded: after.loads - before.loads,
    parts_load_time: roundSeconds(after.seconds - before.seconds),
  };
  log.info(loaded, "loaded parts of the model, which has no room as a whole (MODEL_MEMORY_MB)");
  return loaded;
}

/** Only what there is to say. */
function cutsOf({ promptTokensCut, negativePromptTokensCut }: WanResult): Record<string, number> {
  return {
    ...(promptTokensCut === 0 ? {} : { prompt_tokens_cut: promptTokensCut }),
    ...(negativePromptTokensCut === 0 ? {} : { negative_prompt_tokens_cut: negativePromptTokensCut }),
  };
}

/** A prompt is not rewritten: the job still runs on the plain one, and says so. */
function reportEnhancement({ config }: ClipJob): Record<string, unknown> {
  if (config?.enhance_prompt !== true) return { enhancement_strategy: "none" };
  return {
    enhancement_strategy: "fallback",
    fallback_reason: "this pipeline rewrites no prompts: the clip was made from the plain one",
  };
}
