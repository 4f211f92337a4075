import type { ComponentSet } from "#pipelines/core/component-set.ts";
import type { Tensor } from "#pipelines/core/tensor.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { VideoEncodingOptions } from "./encode-video.ts";
import type { WanModelFolder } from "./model-folder.ts";
import type { PictureEncoder } from "./picture-encoder.ts";

/** What a condition changes in a run; a run without one has nothing of it. */
export interface Conditioning {
  /** Beside the latents at every step, `[1, channels, latent frames, height, width]`. */
  readonly channels?: Tensor | undefined;
  /**
   * `[1, channels, 1, height, width]`: the first latent frame, which transformers with a timestep for every token are shown in
   * the place of noise, at the timestep 0. It is that of the clip.
   */
  readonly firstFrame?: Tensor | undefined;
  /** Further inputs of the transformers by their names, the same at all steps. */
  readonly inputs?: Readonly<Record<string, Tensor>> | undefined;
  /** Latent frames that are denoised before those of the clip, and not decoded. */
  readonly leadingFrames?: number | undefined;
  /** Changes what the transformer predicts, see {@link Steering}. */
  readonly steer?: ((schedule: Schedule) => Steering) | undefined;
}

/** Whither a run is led, whatever its transformer predicts. */
export interface Steering {
  /** Changes the velocity that was predicted for these latents, in place. */
  steer(velocity: Tensor, latents: Tensor, stepIndex: number): void;
  /** Steps that are the first of another course: solvers forget what was predicted before them. */
  readonly turns: ReadonlySet<number>;
}

/** Where the parts of a model are, for those that encode a condition. */
export interface ConditionParts {
  readonly components: ComponentSet;
  readonly model: WanModelFolder;
  readonly encoding: VideoEncodingOptions;
  /** Of models whose transformer takes the features of pictures. */
  readonly pictures: PictureEncoder | undefined;
}
