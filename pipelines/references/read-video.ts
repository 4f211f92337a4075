import { setTimeout } from "node:timers/promises";
import { videoInputInvalid, videoInputTooLarge } from "#pipelines/core/errors.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { ffmpegMissing } from "#pipelines/video/errors.ts";
import { type FfmpegPaths, findFfmpeg } from "#pipelines/video/ffmpeg-paths.ts";
import { FfmpegProcess } from "#pipelines/video/ffmpeg-process.ts";
import type { Fitting } from "./fetch-picture.ts";
import { maxFramePixels, readingOptions, type VideoFacts, videoFacts } from "./video-facts.ts";

export interface ReadVideoOptions extends Fitting {
  /** Frames a second of the result, whatever the file has, and however unevenly. */
  readonly fps: number;
  /** After so many frames the rest of the file is not read. */
  readonly maxFrames: number;
  /** What it is in the job, for messages; `reference video` when absent. */
  readonly what?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Undefined: looked up. */
  readonly paths?: FfmpegPaths | undefined;
  /** How long ffmpeg may be waited for, the time between frames that the caller takes left out. */
  readonly timeoutMs?: number | undefined;
}

const defaultTimeoutMs = 120_000;

/**
 * Reads a video as frames of 8-bit sRGB, one at a time as they are taken: turned as its rotation tag says, in the job's size
 * (by cover or contain, as pictures are) and in the job's frame rate; a shorter one ends early. ffmpeg decodes it in a
 * process of its own, which is killed when the caller takes no more, and on the signal.
 *
 * Colours are converted by the file's own matrix; by that of BT.709 where a large picture names none, as players do.
 * @throws PipelineError INPUT_INVALID, INPUT_TOO_LARGE, FFMPEG_MISSING; the signal's reason
 */
export async function* readVideo(file: string, options: ReadVideoOptions): AsyncGenerator<RgbImage, void, undefined> {
  const { what = "reference video", signal, maxFrames, timeoutMs = defaultTimeoutMs } = options;
  signal?.throwIfAborted();
  const paths = options.paths ?? (await findFfmpeg());
  const facts = await videoFacts(file, what, paths, signal);
  const process = new FfmpegProcess(paths.ffmpeg, decodeArguments(file, facts, options), { writes: true });
  const onAbort = () => void process.kill();
  signal?.addEventListener("abort", onAbort, { once: true });
  let frames = 0;
  try {
    for await (const frame of framesOf(process, options, new WaitingTime(timeoutMs))) {
      signal?.throwIfAborted();
      yield frame;
      frames++;
    }
    signal?.throwIfAborted();
    if (frames < maxFrames) await checkEnd(process, what, frames);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof TooSlow) {
      const after = `is not decoded within ${timeoutMs / 1000} s`;
      throw videoInputTooLarge(what, `${after} (${frames} frames of ${maxFrames}): send a shorter or smaller one`);
    }
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    await process.kill();
  }
}

/** ffmpeg's end after fewer frames than were wanted: of the video, or of what can be read of it. */
async function checkEnd(process: FfmpegProcess, what: string, frames: number): Promise<void> {
  const end = await process.ended;
  if (end.kind === "not_started") throw ffmpegMissing(end.command, end.error);
  if (end.code === 0 && frames > 0) return;
  const after = frames === 0 ? "" : ` after ${frames} frame${frames === 1 ? "" : "s"}`;
  const reason = end.code === 0 ? "there is no frame in it" : `its frames cannot be read${after}: the file is damaged`;
  throw videoInputInvalid(what, reason, new Error(end.log));
}

class TooSlow extends Error {}

/** What is left of the time that may be waited. */
class WaitingTime {
  #leftMs: number;

  constructor(milliseconds: number) {
    this.#leftMs = milliseconds;
  }

  /** @throws TooSlow when the time is over first */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    const start = performance.now();
    const done = new AbortController();
    const limit = setTimeout(Math.max(this.#leftMs, 0), undefined, { signal: done.signal }).then(
      () => Promise.reject(new TooSlow()),
      () => new Promise<never>(() => undefined),
    );
    try {
      return await Promise.race([work, limit]);
    } finally {
      done.abort();
      this.#leftMs -= performance.now() - start;
    }
  }
}

async function* framesOf(
  process: FfmpegProcess,
  { width, height, maxFrames }: ReadVideoOptions,
  time: WaitingTime,
): AsyncGenerator<RgbImage, void, undefined> {
  const { output } = process;
  if (output === null) return;
  const chunks = output.iterator()[Symbol.asyncIterator]();
  let frame = new Uint8ClampedArray(width * height * 3);
  let [filled, frames] = [0, 0];
  while (frames < maxFrames) {
    const next = await time.during(chunks.next());
    if (next.done === true) return;
    const chunk: Uint8Array = next.value;
    for (let at = 0; at < chunk.length && frames < maxFrames; ) {
      const part = chunk.subarray(at, at + frame.length - filled);
      frame.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < frame.length) continue;
      yield { data: frame, width, height };
      frame = new Uint8ClampedArray(width * height * 3);
      filled = 0;
      frames++;
    }
  }
}

function decodeArguments(
  file: string,
  facts: VideoFacts,
  { width, height, fps, maxFrames, reference_fit: fit = "cover" }: ReadVideoOptions,
): string[] {
  const first = [`fps=fps=${fps}`, toSquareRgb(facts)].join(",");
  const graph = fit === "cover" ? `${first},${cover(width, height)}` : `${first},${contain(width, height)}`;
  return [
    ...["-hide_banner", "-nostdin", "-loglevel", "error", "-xerror", "-threads", "2"],
    ...[...readingOptions, "-max_pixels", String(maxFramePixels), "-i", `file:${file}`],
    ...["-map", "0:V:0", "-an", "-sn", "-dn", "-filter_threads", "1", "-vf", graph],
    ...["-frames:v", String(maxFrames), "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"],
  ];
}

const flags = "flags=lanczos+accurate_rnd+full_chroma_int";

/** Square pixels of RGB: what comes after is computed with all colours of each pixel. */
function toSquareRgb({ width, height, colorMatrix }: VideoFacts): string {
  const matrix = colorMatrix === undefined && width * height >= 1280 * 720 ? ":in_color_matrix=bt709" : "";
  return `scale='max(1,trunc(iw*sar))':ih:${flags}${matrix}:out_range=pc,format=gbrp,setsar=1`;
}

function cover(width: number, height: number): string {
  return `scale=${width}:${height}:force_original_aspect_ratio=increase:${flags},crop=${width}:${height}`;
}

/** On a blurred one that fills the size, as of pictures. */
function contain(width: number, height: number): string {
  const sigma = Math.max(1, Math.min(width, height) / 20);
  const behind = `[a]${cover(width, height)},gblur=sigma=${sigma}[behind]`;
  const whole = `[b]scale=${width}:${height}:force_original_aspect_ratio=decrease:${flags}[whole]`;
  return `split[a][b];${behind};${whole};[behind][whole]overlay=(W-w)/2:(H-h)/2:format=gbrp`;
}
