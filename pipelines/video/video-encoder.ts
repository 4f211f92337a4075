import { resolve } from "node:path";
import { unsupportedOption } from "#pipelines/core/errors.ts";
import { chooseEncoder, type EncoderChoice } from "./choose-encoder.ts";
import type { Container } from "./commands.ts";
import { Encoding, type VideoFile } from "./encoding.ts";
import { type FfmpegPaths, findFfmpeg } from "./ffmpeg-paths.ts";
import { evenSize } from "./frame-size.ts";

export type { VideoFile };

export interface VideoEncoderOptions {
  /** Where the finished file goes; its folder exists. Until then it is written beside it under another name. */
  readonly path: string;
  /** Pixels, 2 to 8192. An odd size gains a column or a row in MP4 and WebM, whose colours need pairs: the last one again. */
  readonly width: number;
  readonly height: number;
  /** Frames per second, more than 0, up to 240. */
  readonly fps: number;
  readonly container?: Container | undefined;
  /**
   * Constant quality on the encoder's own scale, lower is better: 0 to 51 for H.264 (18), 0 to 63 for AV1 and VP9 (24), 0 to
   * 100 for WebP (20).
   */
  readonly crf?: number | undefined;
  readonly encoder?: EncoderChoice | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly ffmpeg?: FfmpegPaths | undefined;
}

export interface VideoEncoder {
  /**
   * Adds a frame, rgb24, width · height · 3 bytes. Resolves when ffmpeg has taken it, which is what slows its caller down
   * to the encoder's speed; the buffer may then be used anew. One call at a time.
   * @throws PipelineError ENCODING_FAILED, DISK_FULL; the signal's reason
   */
  write(frame: Uint8Array | Uint8ClampedArray): Promise<void>;
  /** @throws as write, and PipelineError UNSUPPORTED_OPTION when there is no frame */
  finish(): Promise<VideoFile>;
  /** Kills ffmpeg and removes what it has written. Resolves when both are done, also after `finish`, whose file stays. */
  abort(): Promise<void>;
}

const defaultCrf: Readonly<Record<Container, number>> = { mp4: 18, webm: 24, webp: 20 };
export const maxCrf: Readonly<Record<Container, number>> = { mp4: 51, webm: 63, webp: 100 };
const edge = { min: 2, max: 8192 };
const maxFps = 240;

/**
 * Starts an ffmpeg that encodes what is written to it: MP4 (H.264, 4:2:0, BT.709, playable while it is loaded), WebM (AV1, or
 * VP9) or animated WebP.
 * @throws PipelineError UNSUPPORTED_OPTION, FFMPEG_MISSING; the signal's reason
 */
export async function openVideoEncoder(options: VideoEncoderOptions): Promise<VideoEncoder> {
  const { signal, width, height, fps } = options;
  signal?.throwIfAborted();
  const { encoder, fellBack, ...plan } = await planEncoding(options);
  signal?.throwIfAborted();
  const path = resolve(options.path);
  const encoding = new Encoding({ ...plan, path, fps, fellBack, signal, given: { width, height } });
  await encoding.start(encoder);
  return encoding;
}

/**
 * Before minutes are spent on frames: throws what `openVideoEncoder` would throw.
 * @throws PipelineError UNSUPPORTED_OPTION, FFMPEG_MISSING
 */
export async function checkVideoEncoder(options: Omit<VideoEncoderOptions, "path" | "signal">): Promise<void> {
  await planEncoding(options);
}

async function planEncoding(options: Omit<VideoEncoderOptions, "path" | "signal">) {
  const { width, height, container = "mp4", crf = defaultCrf[container], encoder: choice = "auto" } = options;
  checkOptions(options, container, crf);
  const paths = options.ffmpeg ?? (await findFfmpeg());
  const size = container === "webp" ? { width, height } : evenSize({ width, height });
  return { paths, container, crf, size, ...(await chooseEncoder(container, size, choice, paths)) };
}

function checkOptions(
  { width, height, fps }: Pick<VideoEncoderOptions, "width" | "height" | "fps">,
  container: Container,
  crf: number,
): void {
  for (const [name, value] of Object.entries({ width, height })) {
    if (Number.isInteger(value) && value >= edge.min && value <= edge.max) continue;
    throw unsupportedOption(
      `The video's ${name} is ${value}: it must be a whole number from ${edge.min} to ${edge.max}.`,
    );
  }
  if (!(fps > 0 && fps <= maxFps))
    throw unsupportedOption(`The video's fps is ${fps}: it must be more than 0 and at most ${maxFps}.`);
  if (!(crf >= 0 && crf <= maxCrf[container]))
    throw unsupportedOption(`The video's crf is ${crf}: for ${container} it must be from 0 to ${maxCrf[container]}.`);
}
