import { randomBytes } from "node:crypto";
import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { promptText } from "#contract/fields.ts";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { smallAnimatedWebp } from "#pipelines/video/animated-webp.ts";
import { openVideoAsset } from "#pipelines/video/save-video.ts";
import { shapesFrame } from "#pipelines/video/testing/clips.ts";

/**
 * A clip of moving shapes. Shows an animated preview of its first frames, and goes on when the file `gate` exists: before its
 * last frame, so that the encoder is at work meanwhile.
 */
export default defineHandler({
  type: "clip",
  worker: "media",
  produces: "video",
  description: "Moving shapes",
  input: jobEnvelope.extend({ prompt: promptText }),
  parameters: z.object({
    width: z.int().min(64).max(2048).default(160),
    height: z.int().min(64).max(2048).default(96),
    frame_num: z.int().min(1).max(161).default(33),
    fps: z.number().min(1).max(60).default(16),
    seed: z.int().min(0).default(0),
    /** Frames of random pixels, which take as many bytes in a file as they have. */
    noise: z.boolean().default(false),
    crf: z.number().min(0).max(51).optional(),
    container: z.enum(["mp4", "webm", "webp"]).default("mp4"),
    gate: z.string().default(""),
  }),
  retry: { maxAttempts: 2, timeoutSeconds: 120, backoffSeconds: 0.05 },
  async run(_job, ctx) {
    const { width, height, frame_num, fps, seed, noise, crf, container, gate } = await ctx.parameters();
    const drawn = (index: number) => ({
      data: new Uint8ClampedArray(noise ? randomBytes(3 * width * height) : shapesFrame(index + seed, width, height)),
      width,
      height,
    });
    const first = Array.from({ length: Math.min(5, frame_num) }, (_, index) => drawn(index));
    const bytes = await smallAnimatedWebp(first, fps, 64 * 1024);
    const video = await openVideoAsset(ctx, { width, height, frames: frame_num, fps, container, crf });
    for (let index = 0; index < frame_num; index++) {
      if (index === frame_num - 1) while (!(await exists(gate))) await pause(10, undefined, { signal: ctx.signal });
      await video.add(drawn(index));
      ctx.progress(index + 1, frame_num, bytes && index === 0 ? { mimeType: "image/webp", bytes } : undefined);
    }
    const start = performance.now();
    const { frames } = await video.finish({ seed });
    ctx.stage({ name: "encode_video", seconds: (performance.now() - start) / 1000 });
    return { metadata: { seed, frame_num: frames } };
  },
});

/** True also for no path. */
function exists(path: string): Promise<boolean> {
  return path === ""
    ? Promise.resolve(true)
    : access(path).then(
        () => true,
        () => false,
      );
}
