import sharp, { type Sharp } from "sharp";
import type { RgbImage } from "#pipelines/images/rgb.ts";

/**
 * Frames of one size as a WebP that plays in a loop.
 * @throws RangeError when there is no frame, or one of another size
 */
export function animatedWebp(frames: readonly RgbImage[], fps: number, quality = 75): Promise<Uint8Array> {
  return open(frames)
    .webp({ quality, effort: 2, loop: 0, delay: delays(frames.length, fps) })
    .toBuffer();
}

/** A WebP of at most `limitBytes`, at the best of a few qualities that fits; undefined when none does. */
export async function smallAnimatedWebp(
  frames: readonly RgbImage[],
  fps: number,
  limitBytes: number,
): Promise<Uint8Array | undefined> {
  for (const quality of [75, 45, 15]) {
    const bytes = await animatedWebp(frames, fps, quality);
    if (bytes.length <= limitBytes) return bytes;
  }
  return undefined;
}

/** In whole milliseconds, as the format has them; rounded so that the sum does not drift. */
function delays(frames: number, fps: number): number[] {
  const at = (frame: number) => Math.round((frame * 1000) / fps);
  return Array.from({ length: frames }, (_, frame) => at(frame + 1) - at(frame));
}

function open(frames: readonly RgbImage[]): Sharp {
  const [first] = frames;
  if (first === undefined) throw new RangeError("an animation needs at least one frame");
  const { width, height } = first;
  if (frames.some((frame) => frame.width !== width || frame.height !== height))
    throw new RangeError(`every frame of an animation has the size of the first, ${width}×${height}`);
  const data = new Uint8Array(first.data.length * frames.length);
  for (const [index, frame] of frames.entries()) data.set(frame.data, index * first.data.length);
  return sharp(data, { raw: { width, height: height * frames.length, channels: 3, pageHeight: height } });
}
