/** What {@link import("./generate-images.ts").generateImages} reads of a job. */
export interface ImageJob {
  readonly prompt: string;
  /** Absent and empty differ: see `force_zeros_for_empty_prompt`. */
  readonly negative_prompt?: string | undefined;
  readonly compel_enabled?: boolean | undefined;
  readonly compel_weights?: string | undefined;
}

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
  /** Layers of the text encoders to leave out, beyond the last one. */
  readonly clip_skip?: number | undefined;
}
