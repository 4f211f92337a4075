import type { Tensor } from "#pipelines/core/tensor.ts";
import { smallAnimatedWebp } from "#pipelines/video/animated-webp.ts";
import { type LatentRgb, latentsToRgb, type PreviewEncoder, previewLimitBytes } from "./preview.ts";
import { pictureOf } from "./video-frames.ts";

/**
 * Previews of clips: an animated WebP of at most 64 KB, one pixel per latent and one frame per latent frame.
 * @param fps of the finished clip
 * @param temporalScale its frames per latent frame
 */
export function videoPreview(latentRgb: LatentRgb, fps: number, temporalScale: number): PreviewEncoder {
  return (latents: Tensor) => {
    const frames = Array.from({ length: latents.dims[2] ?? 0 }, (_, frame) =>
      latentsToRgb(pictureOf(latents, frame), latentRgb),
    );
    return smallAnimatedWebp(frames, fps / temporalScale, previewLimitBytes);
  };
}
