import sharp from "sharp";
import type { VideoHost } from "#pipelines/core/host.ts";
import { generationTexts } from "#pipelines/diffusion/generation-text.ts";
import { saveImages } from "#pipelines/diffusion/save-images.ts";
import type { PictureFormat } from "#pipelines/images/encode.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { type FfmpegPaths, findFfmpeg } from "#pipelines/video/ffmpeg-paths.ts";
import { adoptVideo, openVideoAsset } from "#pipelines/video/save-video.ts";
import { probe, type VideoFacts } from "#pipelines/video/verify.ts";
import { engineFailed } from "./errors.ts";
import { readFrames } from "./read-frames.ts";

/** What a clip is to be, and how its file is to be stored; absent as `openVideoAsset` and `saveImages` have it. */
export interface ClipSettings {
  readonly prompt: string;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly frames: number;
  readonly fps: number;
  readonly container?: "mp4" | "webm" | "webp" | undefined;
  readonly crf?: number | undefined;
  readonly poster?: boolean | undefined;
  readonly contactSheet?: boolean | undefined;
  readonly output_format?: PictureFormat | undefined;
  readonly output_quality?: number | undefined;
}

export interface MadeClip {
  readonly clip: ClipSettings;
  /** Frames that the command was to make. */
  readonly made: number;
  readonly file: string;
  /** The file is a picture, and no video. */
  readonly isPicture: boolean;
  readonly model: string;
  readonly solver: string | undefined;
  /** Whether its size has to be that of the clip. */
  readonly isExact: boolean;
}

interface CheckedClip extends MadeClip {
  readonly facts: VideoFacts;
  readonly ffmpeg: FfmpegPaths;
}

/**
 * Checks the file that a command has made, all of it decoded, and hands it over: one frame as a picture; a clip as it is, unless
 * the job wants another format, quality or rate, or fewer frames.
 * @returns what is reported of it
 * @throws PipelineError ENGINE_FAILED, FFMPEG_MISSING or ENCODING_FAILED; the signal's reason
 */
export async function saveClip(made: MadeClip, host: VideoHost): Promise<Readonly<Record<string, unknown>>> {
  if (made.isPicture) return await savePicture(made, await readPicture(made.file), host);
  const ffmpeg = await findFfmpeg();
  const facts = await probe(made.file, ffmpeg, host.signal).catch((error: unknown) => {
    host.signal.throwIfAborted();
    if (isCoded(error, "FFMPEG_MISSING")) throw error;
    throw engineFailed("What the command left in --save_file is no video that can be read");
  });
  const checked = { ...made, facts, ffmpeg };
  checkShape(checked, facts);
  if (made.clip.frames > 1) return await saveVideo(checked, host);
  return await savePicture(made, await readFrame(checked, host.signal), host);
}

function isCoded(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function checkShape({ clip, made, isExact }: MadeClip, facts: Pick<VideoFacts, "frames" | "width" | "height">): void {
  const wanted = { frames: made, ...(isExact ? { width: clip.width, height: clip.height } : {}) };
  const differences = (["frames", "width", "height"] as const)
    .filter((name) => wanted[name] !== undefined && facts[name] !== wanted[name])
    .map((name) => `${name} ${facts[name]} instead of ${wanted[name]}`);
  if (differences.length > 0)
    throw engineFailed(`The command's file is not what the job requests: ${differences.join(", ")}`);
}

async function readPicture(file: string): Promise<RgbImage> {
  const { data, info } = await sharp(file, { failOn: "warning" })
    .flatten()
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(() => {
      throw engineFailed("What the command left in --save_file is no picture that can be read");
    });
  return { data: new Uint8ClampedArray(data), width: info.width, height: info.height };
}

async function readFrame({ file, facts, ffmpeg }: CheckedClip, signal: AbortSignal): Promise<RgbImage> {
  let image: RgbImage | undefined;
  for await (const frame of readFrames(ffmpeg.ffmpeg, file, facts, signal))
    image ??= { ...frame, data: frame.data.slice() };
  if (image === undefined) throw engineFailed("The command's file has no frame");
  return image;
}

async function savePicture(
  made: MadeClip,
  image: RgbImage,
  host: VideoHost,
): Promise<Readonly<Record<string, unknown>>> {
  const { width, height } = image;
  checkShape(made, { frames: 1, width, height });
  const { clip, model, solver = "default" } = made;
  const { prompt, seed, num_inference_steps, guidance_scale } = clip;
  const origin = { prompt, seed, width, height, num_inference_steps, guidance_scale, scheduler: solver, model };
  const texts = generationTexts(origin, { sampler: solver, scheduleType: undefined }, {});
  await saveImages([{ image, seed, texts }], host, { format: clip.output_format, quality: clip.output_quality });
  return { width, height };
}

async function saveVideo(checked: CheckedClip, host: VideoHost): Promise<Readonly<Record<string, unknown>>> {
  const { clip, file, facts, ffmpeg } = checked;
  const { width, height } = facts;
  const shape = { ...clip, width, height };
  const video = isKept(checked)
    ? await adoptVideo(host, shape, { ...facts, path: file, fps: clip.fps })
    : await openVideoAsset(host, shape);
  try {
    let read = 0;
    for await (const frame of readFrames(ffmpeg.ffmpeg, file, facts, host.signal))
      if (read++ < clip.frames) await video.add(frame);
    if (read < clip.frames) throw engineFailed(`The command's file has ${read} frames instead of ${clip.frames}`);
    const { fps, durationSeconds: duration, encoder } = await video.finish({ seed: clip.seed });
    return { width, height, fps, duration, video_encoder: encoder };
  } catch (error) {
    await video.abort();
    throw error;
  }
}

/** Whether the command's own file is what the job wants, so that nothing is lost by encoding it again. */
function isKept({ clip, made, facts }: CheckedClip): boolean {
  const { container = "mp4", crf, fps, frames } = clip;
  const isPlayable = facts.codec === "h264" && facts.pixelFormat === "yuv420p";
  const hasRate = Math.abs(facts.durationSeconds * fps - made) <= 0.9;
  return container === "mp4" && crf === undefined && isPlayable && hasRate && frames === made;
}
