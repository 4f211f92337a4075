import type { PictureFormat } from "#pipelines/images/encode.ts";
import type { PictureFit } from "#pipelines/images/fit-picture.ts";

/** What {@link import("./generate-images.ts").generateImages} reads of a job. */
export interface ImageJob {
  readonly prompt: string;
  /** Absent and empty differ: see `force_zeros_for_empty_prompt`. */
  readonly negative_prompt?: string | undefined;
  readonly compel_enabled?: boolean | undefined;
  readonly compel_weights?: string | undefined;
  readonly config?: {
    readonly pipeline?: "txt2img" | "img2img" | undefined;
    /** Address of a picture that is white where the reference is drawn anew. */
    readonly mask_image_url?: string | undefined;
    /** Absent where the strength among the parameters is the model's, which is read there alone. */
    readonly denoise_strength?: unknown;
    /** Address of a control picture: lines, depths or what the ControlNet was trained for. */
    readonly control_image_url?: string | undefined;
    /** Which of the model's ControlNets it is for. */
    readonly control_type?: string | undefined;
    readonly guess_mode?: boolean | undefined;
    /** Address of a picture that stands beside the prompt. */
    readonly ip_adapter_image_url?: string | undefined;
  };
  readonly metadata?: {
    readonly reference_image_url?: string | undefined;
    readonly reference_type?: ReferenceType | undefined;
    /** Read as the strength among the parameters, and named here where it plays no part. */
    readonly reference_strength?: number | undefined;
    readonly denoise_strength?: number | undefined;
    readonly exact_copy_mode?: boolean | undefined;
    readonly reference_mode?: "modify" | "copy" | undefined;
  };
}

/** What is taken from the reference: its look, its layout, or who is in it. */
export type ReferenceType = "style" | "composition" | "character";

/** How it is to be drawn. Names and ranges are checked by who runs the job; the last seed is an exact number. */
export interface ImageParameters {
  /** In pixels, multiples of 8. */
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly guidance_rescale?: number | undefined;
  /** Absent: drawn at random, and reported. */
  readonly seed?: number | undefined;
  readonly num_images: number;
  /** A name that {@link import("../schedulers/index.ts").createScheduler} knows; the model's own when absent. */
  readonly scheduler?: string | undefined;
  /** How much of its own noise DDIM adds, and the γ of TCD; none when absent. */
  readonly eta?: number | undefined;
  /** Whose random numbers the seeds stand for: torch's on a CPU (when absent), or on a GPU. */
  readonly noise?: "cpu" | "cuda" | undefined;
  /** Layers of the text encoders to leave out, beyond the last one. */
  readonly clip_skip?: number | undefined;
  /** The share of the noise after which the model's refiner goes on; 0.8 when absent, 1 for none. */
  readonly denoising_end?: number | undefined;
  /** What a refiner is shown, from 0 to 10. */
  readonly aesthetic_score?: number | undefined;
  readonly negative_aesthetic_score?: number | undefined;
  /** Share of the steps that are run on a reference. */
  readonly denoise_strength?: number | undefined;
  /** How the reference is brought to the size; `cover` when absent. */
  readonly reference_fit?: PictureFit | undefined;
  /** What its transparent parts are laid on, as CSS names colours; white when absent. */
  readonly reference_background?: string | undefined;
  /** How much a ControlNet counts; 1 when absent. */
  readonly controlnet_conditioning_scale?: number | undefined;
  /** Shares of the run between which it is asked; 0 and 1 when absent. */
  readonly control_guidance_start?: number | undefined;
  readonly control_guidance_end?: number | undefined;
  /** How much a picture beside the prompt counts; 0.6 when absent. */
  readonly ip_adapter_scale?: number | undefined;
  /** `png` when absent. */
  readonly output_format?: PictureFormat | undefined;
  /** From 1 to 100, of formats that lose something. */
  readonly output_quality?: number | undefined;
  /** Files to merge into the model: a name or an address, and one strength each. */
  readonly loras?: readonly { readonly source: string; readonly phases: readonly (readonly number[])[] }[] | undefined;
}
