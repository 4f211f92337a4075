import { unsupportedOption } from "#pipelines/core/errors.ts";
import type { ReferenceHost, VideoHost } from "#pipelines/core/host.ts";
import { type GenerationOutput, runGeneration } from "#pipelines/diffusion/run-generation.ts";
import { seedsFrom } from "#pipelines/diffusion/seeds.ts";
import type { StageTimer } from "#pipelines/diffusion/stage-timer.ts";
import type { ClipFile } from "./clip-file.ts";
import { type ClipJob, type ClipParameters, defaultFps, type FrameRule, framesToMake } from "./clip-job.ts";
import { clipReferencesOf, conditionOf } from "./clip-references.ts";
import { type ClipPlan, type ClipRequest, originOf, reportClip, reportLoading } from "./clip-report.ts";
import type { WanCondition } from "./condition.ts";
import type { LoadingHost } from "./loaded-pipeline.ts";
import type { WanPipeline, WanResult } from "./pipeline.ts";
import { type ControlFiles, clipControlOf } from "./vace/clip-control.ts";
import { withControl } from "./vace/control-condition.ts";

export interface ClipHost extends VideoHost<ClipParameters>, Pick<ReferenceHost, "input">, LoadingHost {
  /** The model folder of this name; the one that the job names, when left out. */
  model(name?: string): ReturnType<VideoHost["model"]>;
}

/** The stage that each event of the pipeline is a part of. */
const stageNames = {
  encoded: "encode",
  conditioned: "encode",
  prepared: "prepare",
  step: "denoise",
  decoded: "decode",
} as const;

/**
 * Runs a WAN job: text to one clip, handed to the host as MP4 with a thumbnail, or to one frame, handed over as a picture.
 * Importing this module loads no model code: that happens when a job runs.
 * @param rule what becomes of a number of frames that the model does not make
 * @param files what VACE weights follow
 * @throws PipelineError UNSUPPORTED_OPTION, INVALID_JOB, INPUT_INVALID, INPUT_TOO_LARGE, MODEL_NOT_FOUND, MODEL_INVALID,
 *   MODEL_TOO_LARGE, DEVICE_LOST, DEVICE_FAULT, NUMERICAL_ERROR, OUT_OF_MEMORY, FFMPEG_MISSING, ENCODING_FAILED, DISK_FULL,
 *   ENGINE_UNAVAILABLE or ENGINE_FAILED; what the host's `input` throws; the signal's reason when
 *   it is aborted, within one run of a model
 */
export async function generateClip(
  job: ClipJob,
  host: ClipHost,
  rule: FrameRule,
  files: ControlFiles = {},
): Promise<GenerationOutput> {
  const request = requestOf(await host.parameters());
  if (host.engine !== undefined) {
    const { generateExternalClip } = await import("./external-clip.ts");
    refuseControl(files);
    return generateExternalClip(host.engine, { job, request, rule }, host);
  }
  // What could not be encoded is not worth minutes of denoising.
  if (request.framesRequested > 1) await (await import("#pipelines/video/video-encoder.ts")).checkVideoEncoder(request);
  const references = await clipReferencesOf(job, request, host);
  const control = await clipControlOf(files, request, host);
  const slot = async () => (await import("./loaded-pipeline.ts")).loadedPipeline(host);
  return runGeneration(host, slot, async ({ pipeline, model, timer }) => {
    const { openClipFile } = await import("./clip-file.ts");
    const plan = { ...request, frames: framesToMake(request.framesRequested, rule, pipeline.model.temporalScale) };
    const picture = { format: plan.output_format, quality: plan.output_quality };
    const file = openClipFile(host, { ...plan, picture }, (sampling) => originOf(job, plan, sampling, model));
    const before = pipeline.loading;
    const given = conditionOf(references, plan.frames);
    const { condition, report } = await withControl(given, control, plan, pipeline.model, host.signal);
    const { result, saved } = await draw(pipeline, job, plan, host, timer, file, condition);
    timer.ended("save");
    const loading = reportLoading(before, pipeline.loading, host.log);
    return { ...reportClip({ job, plan, model, result, references }, host.log), ...report(), ...saved, ...loading };
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

/** The same, by VACE weights: they may follow a control video and pictures of what shall be seen. */
export function generateControlledClip(
  job: ClipJob & { readonly config?: ControlFiles | undefined },
  host: ClipHost,
): Promise<GenerationOutput> {
  return generateClip(job, host, "exact", job.config);
}

/** @throws PipelineError UNSUPPORTED_OPTION: the classic command line has no argument for them */
function refuseControl(files: ControlFiles): void {
  for (const name of ["video_guide", "video_mask", "image_refs"] as const) {
    if (files[name] === undefined) continue;
    throw unsupportedOption(
      `config.${name} is for models that run here, and a command makes the clips of this container (WAN_COMMAND): leave it out, or send the job to another container`,
    );
  }
}

function requestOf(parameters: ClipParameters): ClipRequest {
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
  plan: ClipPlan,
  host: ClipHost,
  timer: StageTimer,
  file: ClipFile,
  condition: WanCondition | undefined,
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
    noise: plan.noise,
    fps: plan.fps,
    condition,
  };
  try {
    const result = await pipeline.generate(request, (frame) => file.add(frame), {
      signal: host.signal,
      onProgress(done, total, preview) {
        host.progress(done, total, preview === undefined ? undefined : { mimeType: "image/webp", bytes: preview });
      },
      onStage: ({ name }) => timer.reached(stageNames[name]),
    });
    return { result, saved: await file.finish(result) };
  } catch (error) {
    await file.abort();
    throw error;
  }
}
