import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { ClipPlan } from "../clip-report.ts";
import { latentGrid } from "../clip-shape.ts";
import type { VaceCondition, WanCondition } from "../condition.ts";
import type { WanModelFolder } from "../model-folder.ts";
import type { ClipControl } from "./clip-control.ts";

/** What the pipeline follows, and what of it there was, once it has. */
export interface ControlledRun {
  readonly condition: WanCondition | undefined;
  report(): Readonly<Record<string, unknown>>;
}

/**
 * Adds a job's control to what the clip is made from otherwise: frames that are given where there is no control video, and
 * a picture of what shall be seen before the others. Videos are resampled to the clip's frame rate, and no more of them is decoded than the
 * model makes frames.
 */
export async function withControl(
  condition: WanCondition | undefined,
  control: ClipControl | undefined,
  plan: ClipPlan,
  model: WanModelFolder,
  signal: AbortSignal,
): Promise<ControlledRun> {
  const known: VaceCondition | undefined = condition?.kind === "vace" ? condition : undefined;
  if (control === undefined) {
    return { condition: known === undefined ? condition : { ...known, scale: plan.control_scale }, report: () => ({}) };
  }
  const { readVideo } = await import("#pipelines/references/read-video.ts");
  const { width, height, fps, reference_fit, control_scale: scale } = plan;
  const maxFrames = (latentGrid(model, plan)[0] - 1) * model.temporalScale + 1;
  const read = (file: string, what: string) =>
    readVideo(file, { width, height, fps, reference_fit, maxFrames, what, signal });
  const { guide, mask, pictures } = control;
  const references = [...(known?.references ?? []), ...pictures];
  const counts = { frames: 0 };
  const followed =
    guide === undefined
      ? { video: known?.video, mask: known?.mask }
      : {
          video: counted(read(guide, "control video"), counts),
          mask: typeof mask === "string" ? read(mask, "mask") : mask,
        };
  return {
    condition: { kind: "vace", ...followed, references, scale },
    report: () => ({
      reference_path: "vace",
      ...(guide === undefined ? {} : { control_frames: counts.frames }),
      image_refs: references.length,
    }),
  };
}

async function* counted(
  frames: AsyncIterable<RgbImage>,
  counts: { frames: number },
): AsyncGenerator<RgbImage, void, undefined> {
  for await (const frame of frames) {
    counts.frames++;
    yield frame;
  }
}
