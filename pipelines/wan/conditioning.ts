import type { ComponentSet } from "#pipelines/core/component-set.ts";
import type { Tensor } from "#pipelines/core/tensor.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { VideoEncoderOptions } from "./encode-video.ts";
import type { WanModelFolder } from "./model-folder.ts";
import type { PictureEncoder } from "./picture-encoder.ts";

/** What a condition changes in a run; a run without one has nothing of it. */
export interface Conditioning {
  /** Beside the latents at every step, `[1, channels, latent frames, height, width]`. */
  readonly channels?: Tensor | undefined;
  /** Further inputs of the transformers by their names, the same at all steps. */
  readonly inputs?: Readonly<Record<string, Tensor>> | undefined;
  /** Latent frames that are denoised before those of the clip, and not decoded. */
  readonly leadingFrames?: number | undefined;
  /** Called when the noise is drawn; what it returns is called at every noise level, see {@link AdjustLatents}. */
  readonly adjust?: ((run: DenoisingRun) => AdjustLatents) | undefined;
}

export interface DenoisingRun {
  readonly schedule: Schedule;
  /** What the run starts from, before it is scaled; valid until the first step, whose latents take its memory. */
  readonly noise: Tensor;
}

/**
 * Changes latents in place before the first step, and after each: they hold as much noise as `schedule.sigmas` has at
 * `sigmaIndex`, none after the last.
 */
export type AdjustLatents = (latents: Tensor, sigmaIndex: number) => void;

/** Where the parts of a model are, for those that encode a condition. */
export interface ConditionParts {
  readonly components: ComponentSet;
  readonly model: WanModelFolder;
  readonly encoding: VideoEncoderOptions;
  /** Of models whose transformer takes the features of pictures. */
  readonly pictures: PictureEncoder | undefined;
}
