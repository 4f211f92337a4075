import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findFfmpeg } from "../ffmpeg-paths.ts";

/** Frame `index` of a clip of moving shapes with soft edges on a gradient, rgb24: what a video model makes, roughly. */
export function shapesFrame(index: number, width: number, height: number): Uint8Array {
  const frame = new Uint8Array(width * height * 3);
  const [centerX, centerY] = [width * (0.3 + 0.02 * index), height * (0.5 + 0.2 * Math.sin(index / 4))];
  const radius = Math.min(width, height) / 5;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const inside = Math.min(1, Math.max(0, (radius - Math.hypot(x - centerX, y - centerY)) / 3));
      const background = [60 + (100 * x) / width, 120 + (80 * y) / height, 200];
      const shape = [230, 90, 40];
      for (let color = 0; color < 3; color++)
        frame[at + color] = (background[color] ?? 0) * (1 - inside) + (shape[color] ?? 0) * inside;
    }
  }
  return frame;
}

/** Every frame of a file as ffmpeg decodes it, by the tags that are in it. */
export async function decodeFrames(file: string, width: number, height: number): Promise<Uint8Array[]> {
  const toRgb = ["-vf", "scale=flags=bicubic+accurate_rnd+full_chroma_int", "-pix_fmt", "rgb24", "-f", "rawvideo"];
  const args = ["-v", "error", "-i", file, ...toRgb, "pipe:1"];
  const { ffmpeg } = await findFfmpeg();
  const { stdout } = await promisify(execFile)(ffmpeg, args, { encoding: "buffer", maxBuffer: 1e9 });
  const size = width * height * 3;
  return Array.from({ length: stdout.length / size }, (_, frame) => stdout.subarray(frame * size, (frame + 1) * size));
}

/** Peak signal-to-noise ratio of two equally long clips, in decibels: 10 · log10(255² / mean squared error). */
export function psnr(left: readonly Uint8Array[], right: readonly Uint8Array[]): number {
  let [sum, count] = [0, 0];
  for (const [frame, bytes] of left.entries()) {
    for (const [at, value] of bytes.entries()) sum += (value - (right[frame]?.[at] ?? Number.NaN)) ** 2;
    count += bytes.length;
  }
  return 10 * Math.log10(255 ** 2 / (sum / count));
}
