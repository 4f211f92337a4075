import type { RgbImage } from "#pipelines/images/rgb.ts";

/** Frames of a clip that are given, each fitted to its width × height. */
export interface FramesCondition {
  readonly kind: "frames";
  readonly first?: RgbImage | undefined;
  readonly last?: RgbImage | undefined;
}

/** What VACE weights follow: a control video with what is drawn anew in it, and pictures of what shall be seen. */
export interface VaceCondition {
  readonly kind: "vace";
  /** Frames in their order, each fitted to width × height; gray where nothing is known. */
  readonly video?: AsyncIterable<RgbImage | "gray"> | Iterable<RgbImage | "gray"> | undefined;
  /** Bright where a frame is drawn anew: for each frame, or one picture for all. All is, where there is no mask. */
  readonly mask?:
    | AsyncIterable<RgbImage | "black" | "white">
    | Iterable<RgbImage | "black" | "white">
    | RgbImage
    | undefined;
  /** Of any size. */
  readonly references?: readonly RgbImage[] | undefined;
  /** How much the control counts, for all layers or for each. */
  readonly scale?: number | readonly number[] | undefined;
}

/** Frames that a model which knows only text is drawn towards, each fitted to width × height. */
export interface AnchorCondition {
  readonly kind: "anchor";
  readonly first?: RgbImage | undefined;
  readonly last?: RgbImage | undefined;
  readonly single?: RgbImage | undefined;
  /** 0: no influence, to 1: the frame is the picture. */
  readonly strength: number;
}

/** What a clip is made from beside its prompt. */
export type WanCondition = FramesCondition | VaceCondition | AnchorCondition;
