import { invalidJob } from "#pipelines/core/errors.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { VaceCondition } from "../condition.ts";

/** A frame of a control video, gray where nothing is known, and what of it is drawn anew: where the mask is bright. */
export interface GuideFrame {
  readonly frame: RgbImage | "gray";
  readonly mask: RgbImage | "black" | "white";
}

type Frames<Frame> = AsyncIterable<Frame> | Iterable<Frame>;

/**
 * The frames of a control video, each with its mask, as they are taken; undefined without a video. Whoever takes no more of
 * them closes both.
 * @throws PipelineError INVALID_JOB for a mask without a video, and when one ends before the other
 */
export function guideOf({ video, mask }: Pick<VaceCondition, "video" | "mask">): Frames<GuideFrame> | undefined {
  if (video !== undefined) return paired(video, mask);
  if (mask !== undefined)
    throw invalidJob("a mask belongs to a control video, and the job has none: send both, or none");
  return undefined;
}

async function* paired(
  video: NonNullable<VaceCondition["video"]>,
  mask: VaceCondition["mask"],
): AsyncGenerator<GuideFrame, void, undefined> {
  const still = mask !== undefined && "data" in mask ? mask : undefined;
  const masks = mask === undefined || "data" in mask ? undefined : iteratorOf(mask);
  let count = 0;
  try {
    for await (const frame of video) {
      const next = await masks?.next();
      if (next?.done === true) throw differentLengths(`the mask ends after ${count} frames, and the video goes on`);
      count++;
      yield { frame, mask: next?.value ?? still ?? "white" };
    }
    if (masks !== undefined && (await masks.next()).done !== true) {
      throw differentLengths(`the video ends after ${count} frames, and the mask goes on`);
    }
  } finally {
    await masks?.return();
  }
}

async function* iteratorOf<Frame>(frames: Frames<Frame>): AsyncGenerator<Frame, void, undefined> {
  yield* frames;
}

function differentLengths(problem: string) {
  return invalidJob(`the control video and its mask have different lengths: ${problem}; send a mask for every frame`);
}

/** The control of a clip of which the first frame, the last one or both are given: the rest is gray, and drawn anew. */
export function knownFrames(
  { first, last }: { readonly first?: RgbImage | undefined; readonly last?: RgbImage | undefined },
  frames: number,
) {
  const known = Array.from({ length: frames }, (_, index) => {
    const end = index === frames - 1 ? last : undefined;
    return index === 0 ? (first ?? end) : end;
  });
  return {
    video: known.map((frame) => frame ?? "gray"),
    mask: known.map((frame) => (frame === undefined ? "white" : "black")),
  } satisfies Pick<VaceCondition, "video" | "mask">;
}
