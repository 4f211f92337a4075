import { ProgressScale } from "#pipelines/diffusion/progress-scale.ts";
import type { WanCondition } from "./condition.ts";
import type { WanModelFolder } from "./model-folder.ts";

export type WanProgress = ProgressScale<"encode" | "condition" | "denoise" | "decode">;

/** Of the encoding of one video as long as the clip: about half of its decoding. */
const videoShare = 6;

/** How much of a job's time the stages take, roughly, at any size. */
export function wanProgress(model: WanModelFolder, condition: WanCondition | undefined): WanProgress {
  return new ProgressScale([
    { name: "encode", share: 3 },
    { name: "condition", share: videoShare * videosToEncode(model, condition) },
    { name: "denoise", share: 85 },
    { name: "decode", share: 12 },
  ]);
}

/** Videos as long as the clip that are encoded before its steps: what of a control is kept, and what is drawn anew, are two. */
function videosToEncode(model: WanModelFolder, condition: WanCondition | undefined): number {
  if (condition?.kind === "vace") return condition.video === undefined ? 1 : 2;
  if (condition?.kind === "frames") return model.timestepPerToken ? 0 : 1;
  return model.controlLayers === 0 ? 0 : 1;
}
