import type { PictureFormat } from "#pipelines/images/encode.ts";
import type { PictureFit } from "#pipelines/images/fit-picture.ts";
import type { WanTask } from "./task.ts";

/** What {@link import("./generate-clip.ts").generateClip} reads of a job. */
export interface ClipJob {
  readonly prompt: string;
  readonly negative_prompt?: string | undefined;
  /** Addresses of pictures that the clip is made from. */
  readonly config?: {
    /** What the clip is about; no frame of it where there are others. */
    readonly image?: string | undefined;
    readonly first_frame?: string | undefined;
    readonly last_frame?: string | undefined;
  };
  readonly metadata?: {
    /** The same, where `config` has none. */
    readonly reference_image_url?: string | undefined;
    readonly start_reference_url?: string | undefined;
    readonly end_reference_url?: string | undefined;
    /** How far the pictures are kept to, from 0 to 1; 0.85 when absent. */
    readonly reference_strength?: number | undefined;
  };
}

/** How it is to be made. Names and ranges are checked by who runs the job. */
export interface ClipParameters {
  /** In pixels, multiples of 16. */
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly guidance_scale_2?: number | undefined;
  /** Timestep of 0…1000 below which a second transformer takes over. */
  readonly switch_threshold?: number | undefined;
  /** A name that {@link import("../schedulers/index.ts").createFlowScheduler} knows; the model's own when absent. */
  readonly scheduler?: string | undefined;
  readonly flow_shift?: number | undefined;
  /** Absent: drawn at random, and reported. */
  readonly seed?: number | undefined;
  /** Whose random numbers the seed stands for: torch's on a CPU (when absent), or on a GPU. */
  readonly noise?: "cpu" | "cuda" | undefined;
  /** Name of the original command line. */
  readonly task?: WanTask | undefined;
  /** How pictures are brought to the size; `cover` when absent. */
  readonly reference_fit?: PictureFit | undefined;
  /** What their transparent parts are laid on, as CSS names colours; white when absent. */
  readonly reference_background?: string | undefined;
  /** How much VACE's control counts, in all layers that it reaches or in each; 1 when absent. */
  readonly control_scale?: number | readonly number[] | undefined;
  /** Absent: one frame. */
  readonly frame_num?: number | undefined;
  readonly fps?: number | undefined;
  /** Of a clip's file: what is absent is as `openVideoAsset` has it. */
  readonly video_format?: "mp4" | "webm" | "webp" | undefined;
  readonly crf?: number | undefined;
  readonly poster?: boolean | undefined;
  readonly contact_sheet?: boolean | undefined;
  /** Of a picture's file: what is absent is as `saveImages` has it. */
  readonly output_format?: PictureFormat | undefined;
  readonly output_quality?: number | undefined;
}

/** Frames a second of a clip whose job does not say. */
export const defaultFps = 16;

/**
 * Who decides how many frames a clip has: `exact` as many as the job says; `rounded` the next that the model makes below,
 * 4n+1 with WAN's own VAE, as the classic command line does.
 */
export type FrameRule = "exact" | "rounded";

/**
 * Frames that a clip gets when its job requests `frames`.
 * @param temporalScale frames that the model's VAE makes of one latent frame after the first
 */
export function framesToMake(frames: number, rule: FrameRule, temporalScale: number): number {
  return rule === "exact" ? frames : Math.floor((frames - 1) / temporalScale) * temporalScale + 1;
}
