import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { greyOf } from "#pipelines/images/mask.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { Grid } from "../clip-shape.ts";

/** What of a frame is drawn anew: nothing (black), all (white), or by pixel as a grey of 0…255. */
export type FrameMask = "black" | "white" | Uint8Array;

/** From this grey on a pixel is drawn anew: more than half of white. */
export const drawnFrom = 128;

/** The mask of a frame; that of the frame before it, when they are equal, so that a mask that stands still is held once. */
export function frameMask(mask: RgbImage | "black" | "white", before: FrameMask | undefined): FrameMask {
  if (typeof mask === "string") return mask;
  const grey = greyOf(mask);
  return before instanceof Uint8Array && Buffer.compare(grey, before) === 0 ? before : grey;
}

/**
 * The mask as a VACE transformer reads it: of every latent the pixels that it stands for, one channel each, from the nearest
 * frame (`interpolate` with `nearest-exact` in torch). Greys stay greys here.
 * @param masks one for each frame of the control video
 * @param grid of its latents
 * @param scale pixels per latent, on either axis
 * @returns `[1, scale², frames, height, width]` in 0…1
 */
export function maskChannels(masks: readonly FrameMask[], [frames, height, width]: Grid, scale: number): Tensor {
  const plane = height * width;
  const out = new Float32Array(scale * scale * frames * plane);
  const step = Math.fround(masks.length / frames);
  for (let frame = 0; frame < frames; frame++) {
    const nearest = Math.floor(Math.fround(Math.fround(frame + 0.5) * step));
    const mask = masks[Math.min(nearest, masks.length - 1)] ?? "white";
    if (mask === "black") continue;
    for (let channel = 0; channel < scale * scale; channel++) {
      const target = (channel * frames + frame) * plane;
      if (mask === "white") {
        out.fill(1, target, target + plane);
        continue;
      }
      const [top, left] = [Math.floor(channel / scale), channel % scale];
      for (let row = 0, index = target; row < height; row++) {
        const start = (row * scale + top) * width * scale + left;
        for (let column = 0; column < width; column++, index++)
          out[index] = shares[mask[start + column * scale] ?? 0] ?? 0;
      }
    }
  }
  return tensor(out, [1, scale * scale, frames, height, width]);
}

/** Greys in 0…1, by way of −1…1 and back, as diffusers' video processor rounds them. */
const shares = Float32Array.from({ length: 256 }, (_, grey) => {
  const normalized = Math.fround(2 * Math.fround(grey / 255)) - 1;
  return Math.fround(Math.fround(normalized) + 1) / 2;
});
