import { basename } from "node:path";
import { unsupportedOption } from "#pipelines/core/errors.ts";
import type { Tensor } from "#pipelines/core/tensor.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import { type ClipShape, latentGrid } from "./clip-shape.ts";
import type { AnchorCondition } from "./condition.ts";
import type { Conditioning, ConditionParts, Steering } from "./conditioning.ts";
import { chunkOf, VideoEncoder } from "./encode-video.ts";
import { files } from "./model-folder.ts";

/*
 * Latent anchoring: frames of a clip are given to a model that knows only text.
 *
 * A flow model's latents are x = (1 − σ)·image + σ·noise, and it predicts the velocity v = noise − image. As long as σ is
 * above a floor, the velocity of a latent frame that a picture determines is replaced by the one that leads to that
 * picture's latents z: v = (x − z) / σ. So each step leaves x = (1 − σ)·z + σ·noise there, the picture noised to the step's
 * σ by the clip's own noise, and the model makes the other frames to fit it. Below the floor the frame is the model's own.
 *
 * Replacing the latents themselves after each step would be undone by solvers with a memory: UniPC's corrector computes the
 * latents of a step anew, from those of the step before and the predictions at both. Replaced predictions are what such a
 * solver remembers, all of them z, with which it makes exactly the same straight line at any order. Where a floor is
 * passed they end: from z to the model's own image would look like a steep course to be followed further. So the solver
 * begins anew there, with a step of first order.
 */

/** A latent frame that is held above a noise level. */
interface Anchor {
  readonly frame: number;
  /** `[1, channels, 1, height, width]` in the transformer's scale. */
  readonly latents: Tensor;
  /** At σ above this the frame is held. */
  readonly floor: number;
}

/** Share of the strength that is left at a distance of one latent frame. */
const besideShare = 0.5;
/** Of a picture that shows what the clip is about, and is no frame of it. */
const singleShare = 0.5;

/**
 * Chunks of a still clip after the first in which what a causal encoder makes of them comes to rest: its convolutions see
 * only so many frames back.
 */
const stillChunks = 3;

/**
 * Holds the first, the last or both latent frames of a clip. A strength of 0 holds nothing, and the clip is the one that is
 * made without.
 * @throws PipelineError UNSUPPORTED_OPTION when the folder has no VAE encoder, NUMERICAL_ERROR; the signal's reason
 */
export async function prepareAnchor(
  parts: ConditionParts,
  shape: ClipShape,
  condition: AnchorCondition,
): Promise<Conditioning> {
  if (!parts.model.weightBytes.has(files.vaeEncoderFirst)) {
    throw unsupportedOption(
      `the model ${basename(parts.model.path)} has no VAE encoder, which pictures are read by: export it anew with tools/export/export_wan.py, or leave the pictures out`,
    );
  }
  const anchors = await anchorsOf(parts, latentGrid(parts.model, shape)[0], condition);
  if (anchors.length === 0) return {};
  return { steer: (schedule) => steering(anchors, schedule) };
}

async function anchorsOf(
  parts: ConditionParts,
  frames: number,
  { first, last, single, strength }: AnchorCondition,
): Promise<Anchor[]> {
  if (strength === 0) return [];
  const held: Anchor[] = [];
  const beside: Anchor[] = [];
  const begin = first ?? single;
  if (begin !== undefined) {
    const share = first === undefined && frames > 1 ? singleShare : 1;
    const [latents, next] = await encodeStill(parts, begin, Math.min(frames, 2));
    hold(held, 0, latents, strength * share);
    hold(beside, 1, next, strength * share * besideShare);
  }
  if (last !== undefined && frames > 1) {
    const latents = (await encodeStill(parts, last, Math.min(frames, 1 + stillChunks))).at(-1);
    hold(held, frames - 1, latents, strength);
    hold(beside, frames - 2, latents, strength * besideShare);
  }
  // A frame between two that are held belongs to neither.
  const taken = [...held, ...beside].map(({ frame }) => frame);
  return [...held, ...beside.filter(({ frame }) => taken.indexOf(frame) === taken.lastIndexOf(frame))];
}

function hold(anchors: Anchor[], frame: number, latents: Tensor | undefined, strength: number): void {
  if (latents !== undefined && frame >= 0) anchors.push({ frame, latents, floor: 1 - strength });
}

/** The latent frames of a clip that shows one picture. The first is of one frame, the others of several. */
async function encodeStill({ components, model, encoding }: ConditionParts, image: RgbImage, frames: number) {
  const encoder = new VideoEncoder(components, model, encoding);
  const latents: Tensor[] = [];
  try {
    while (latents.length < frames) {
      const count = latents.length === 0 ? 1 : model.temporalScale;
      latents.push(await encoder.push(chunkOf(Array.from({ length: count }, () => image))));
    }
    return latents;
  } finally {
    encoder.dispose();
  }
}

function steering(anchors: readonly Anchor[], { sigmas, timesteps }: Schedule): Steering {
  const isHeld = ({ floor }: Anchor, stepIndex: number) => (sigmas[stepIndex] ?? 0) > floor;
  const turns = new Set<number>();
  for (let step = 1; step < timesteps.length; step++) {
    if (anchors.some((anchor) => isHeld(anchor, step - 1) && !isHeld(anchor, step))) turns.add(step);
  }
  return {
    turns,
    steer(velocity, latents, stepIndex) {
      const sigma = sigmas[stepIndex] ?? 0;
      for (const anchor of anchors) if (isHeld(anchor, stepIndex)) lead(velocity, latents, anchor, sigma);
    },
  };
}

/** v = (x − z) / σ in one latent frame. */
function lead(velocity: Tensor, latents: Tensor, { frame, latents: goal }: Anchor, sigma: number): void {
  const [, channels = 0, frames = 0, height = 0, width = 0] = latents.dims;
  const size = height * width;
  for (let channel = 0; channel < channels; channel++) {
    const start = (channel * frames + frame) * size;
    for (let place = 0; place < size; place++) {
      const difference = (latents.data[start + place] ?? 0) - (goal.data[channel * size + place] ?? 0);
      velocity.data[start + place] = difference / sigma;
    }
  }
}
