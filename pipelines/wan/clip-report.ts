import type { PipelineHost } from "#pipelines/core/host.ts";
import type { PictureOrigin } from "#pipelines/diffusion/generation-text.ts";
import { roundSeconds } from "#pipelines/diffusion/report-load.ts";
import type { Sampling } from "./clip-file.ts";
import type { ClipJob, ClipParameters } from "./clip-job.ts";
import { type ClipReferences, reportReferences, unusedOf } from "./clip-references.ts";
import type { WanPipeline, WanResult } from "./pipeline.ts";

/** A job's parameters with what is decided before its model is loaded. */
export interface ClipRequest extends ClipParameters {
  readonly seed: number;
  readonly fps: number;
  readonly framesRequested: number;
  readonly container: ClipParameters["video_format"];
  readonly contactSheet: boolean | undefined;
}

export interface ClipPlan extends ClipRequest {
  /** As many as the model makes of those that were requested. */
  readonly frames: number;
}

interface MadeClip {
  readonly job: ClipJob;
  readonly plan: ClipPlan;
  /** Name of the model's folder. */
  readonly model: string;
  readonly result: WanResult;
  readonly references: ClipReferences | undefined;
}

type Log = PipelineHost["log"];

/** How a clip was made. */
export function originOf(
  job: ClipJob,
  plan: ClipPlan,
  { scheduler, flowShift: flow_shift }: Sampling,
  model: string,
): PictureOrigin & Record<string, unknown> {
  const { seed, width, height, num_inference_steps, guidance_scale } = plan;
  const { guidance_scale_2, switch_threshold, noise } = plan;
  return {
    prompt: job.prompt,
    negative_prompt: job.negative_prompt,
    ...{ seed, width, height, num_inference_steps, guidance_scale, guidance_scale_2, switch_threshold, flow_shift },
    ...{ noise, scheduler, model },
  };
}

function warnOfCuts({ promptTokens, promptTokensCut, negativePromptTokensCut }: WanResult, log: Log): void {
  if (promptTokensCut + negativePromptTokensCut === 0) return;
  const counts = { promptTokens, promptTokensCut, negativePromptTokensCut };
  log.warn(counts, "the prompt is longer than the model reads: its end was left out");
}

/** What is reported of a finished clip, but for its file. */
export function reportClip({ job, plan, model, result, references }: MadeClip, log: Log): Record<string, unknown> {
  warnOfCuts(result, log);
  const { prompt: _prompt, negative_prompt: _negative, ...settings } = originOf(job, plan, result, model);
  return {
    ...settings,
    ignored: ignoredBy(job, plan, result, references),
    ...(plan.task === undefined ? {} : { wan_task: plan.task }),
    ...reportReferences(references),
    content_type: plan.frames === 1 ? "image" : "video",
    frame_num: plan.frames,
    ...(plan.frames === plan.framesRequested ? {} : { frame_num_requested: plan.framesRequested }),
    prompt_tokens: result.promptTokens,
    ...cutsOf(result),
    enhancement_strategy: "none",
  };
}

/** What was given and played no part: for guidance where there was none, for pictures that count by themselves, for a picture's file where there is none. */
function ignoredBy(
  job: ClipJob,
  plan: ClipPlan,
  { isGuided }: WanResult,
  references: ClipReferences | undefined,
): string[] {
  const { guidance_scale_2, output_format, output_quality } = plan;
  const given = {
    ...(isGuided ? {} : { negative_prompt: job.negative_prompt, guidance_scale_2 }),
    ...unusedOf(references, job, plan),
    ...(plan.frames === 1 ? {} : { output_format }),
    // PNG loses nothing, whatever the quality is.
    ...(plan.frames === 1 && (output_format ?? "png") !== "png" ? {} : { output_quality }),
  };
  return Object.entries(given).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [name]));
}

/** What a model that is too large for its memory had to load during the job; nothing of one that stays whole. */
export function reportLoading(
  before: WanPipeline["loading"],
  after: WanPipeline["loading"],
  log: Log,
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
