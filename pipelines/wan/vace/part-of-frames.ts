import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { TileArea } from "#pipelines/diffusion/encode-tiles.ts";
import { drawnFrom, type FrameMask } from "./mask-channels.ts";

/** A frame of a control video, and what of it is drawn anew. */
export interface HeldFrame {
  /** 8-bit RGB, row by row; undefined where all is gray. */
  readonly data: Uint8ClampedArray | undefined;
  readonly width: number;
  readonly mask: FrameMask;
}

/** What is encoded by itself: the pixels that stay, or those that are made anew; all others are gray. */
export type GuidePart = "kept" | "drawn";

/** Pixel values in −1…1, of which gray is 0. */
const pixelValues = Float32Array.from({ length: 256 }, (_, value) => Math.fround(2 * Math.fround(value / 255)) - 1);

/** One part of an area of frames, `[1, 3, frames, rows, columns]` in −1…1. */
export function partOf(frames: readonly HeldFrame[], part: GuidePart, area: TileArea): Tensor {
  const dims = [1, 3, frames.length, area.rows.size, area.columns.size];
  const plane = area.rows.size * area.columns.size;
  const out = new Float32Array(3 * frames.length * plane);
  for (const [at, frame] of frames.entries()) {
    const nothing = part === "kept" ? "white" : "black";
    if (frame.data === undefined || frame.mask === nothing) continue;
    const isInPart = typeof frame.mask === "string" ? undefined : pixelsOf(frame.mask, part);
    for (let channel = 0; channel < 3; channel++) {
      const plain = out.subarray((channel * frames.length + at) * plane, (channel * frames.length + at + 1) * plane);
      layChannel(frame, channel, area, isInPart, plain);
    }
  }
  return tensor(out, dims);
}

/** 1 for the pixels that belong to the part. */
function pixelsOf(mask: Uint8Array, part: GuidePart): Uint8Array {
  const isDrawn = part === "drawn" ? 1 : 0;
  return mask.map((grey) => (grey >= drawnFrom ? isDrawn : 1 - isDrawn));
}

/** @param isInPart undefined: all of them @param out `[rows, columns]`, zeros */
function layChannel(
  { data = new Uint8ClampedArray(), width }: HeldFrame,
  channel: number,
  { rows, columns }: TileArea,
  isInPart: Uint8Array | undefined,
  out: Float32Array,
): void {
  for (let row = 0, target = 0; row < rows.size; row++) {
    const start = (rows.start + row) * width + columns.start;
    for (let pixel = start; pixel < start + columns.size; pixel++, target++) {
      if (isInPart?.[pixel] === 0) continue;
      out[target] = pixelValues[data[3 * pixel + channel] ?? 0] ?? 0;
    }
  }
}
