import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { z } from "zod";
import { inputTooNarrow, videoInputInvalid, videoInputTooLarge } from "#pipelines/core/errors.ts";
import { ffmpegMissing } from "#pipelines/video/errors.ts";
import type { FfmpegPaths } from "#pipelines/video/ffmpeg-paths.ts";

/** What a video's header says of it. */
export interface VideoFacts {
  /** As it is to be seen: turned, and with square pixels. */
  readonly width: number;
  readonly height: number;
  /** Undefined where the header does not say it, as that of a stream that was recorded. */
  readonly durationSeconds: number | undefined;
  /** ffmpeg's name of the matrix that its colours are stored by; undefined for one that the file does not name. */
  readonly colorMatrix: string | undefined;
}

/** A decoder keeps up to 16 such frames, 14 MB each. */
export const maxFramePixels = 4096 * 2304;

/** As of pictures: of a narrower one no model could use anything. */
const maxSideRatio = 20;

/** Models make seconds; a longer file is a mistake rather than a guide. */
const maxSeconds = 600;

const timeoutMs = 20_000;
const maxReportBytes = 1024 * 1024;

/**
 * Files of other kinds are read by other parts of ffmpeg, some of which open further files that they name; and only
 * files are read, whatever a video names.
 */
export const readingOptions = [
  ...["-protocol_whitelist", "file"],
  ...["-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif"],
] as const;

const positive = z.coerce.number().positive();
const ratio = z.string().transform((text) => {
  const [over = 0, under = 0] = text.split(":").map(Number);
  return over > 0 && under > 0 ? over / under : 1;
});

const stream = z.object({
  width: positive,
  height: positive,
  duration: positive.optional().catch(undefined),
  sample_aspect_ratio: ratio.optional().catch(undefined),
  color_space: z.string().optional(),
  side_data_list: z.array(z.looseObject({ rotation: z.number().optional().catch(undefined) })).optional(),
});

const probed = z.object({
  streams: z.tuple([stream]),
  format: z.object({ duration: positive.optional().catch(undefined) }).optional(),
});

/**
 * Reads the header of a video that a job names.
 * @param what it is in the job, for messages: `control video`
 * @throws PipelineError INPUT_INVALID, INPUT_TOO_LARGE, FFMPEG_MISSING; the signal's reason
 */
export async function videoFacts(
  file: string,
  what: string,
  { ffprobe }: FfmpegPaths,
  signal?: AbortSignal,
): Promise<VideoFacts> {
  const report = await probe(file, what, ffprobe, signal);
  const read = probed.safeParse(report);
  if (!read.success) throw videoInputInvalid(what, "there is no video in it", read.error);
  const [{ sample_aspect_ratio: pixelRatio = 1, side_data_list: sideData = [], ...own }] = read.data.streams;
  const rotation = sideData.find((each) => each.rotation !== undefined)?.rotation ?? 0;
  const seen = [own.width * pixelRatio, own.height].map(Math.round);
  const [width = 0, height = 0] = Math.abs(rotation) % 180 === 90 ? seen.toReversed() : seen;
  const facts = {
    ...{ width, height },
    durationSeconds: own.duration ?? read.data.format?.duration,
    colorMatrix: own.color_space === "unknown" ? undefined : own.color_space,
  };
  checkFacts(facts, what, own.width * own.height);
  return facts;
}

async function probe(file: string, what: string, ffprobe: string, signal: AbortSignal | undefined): Promise<unknown> {
  const entries =
    "stream=width,height,duration,sample_aspect_ratio,color_space:stream_side_data=rotation:format=duration";
  const args = ["-v", "error", ...readingOptions, "-select_streams", "V:0", "-show_entries", entries, "-of", "json"];
  const options = { signal, killSignal: "SIGKILL", maxBuffer: maxReportBytes, timeout: timeoutMs } as const;
  try {
    const { stdout } = await promisify(execFile)(ffprobe, [...args, "-i", `file:${file}`], options);
    return JSON.parse(stdout);
  } catch (error) {
    signal?.throwIfAborted();
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "EACCES") throw ffmpegMissing("ffprobe", error);
    throw videoInputInvalid(what, "it is no video, or its header is damaged", error);
  }
}

function checkFacts({ width, height, durationSeconds }: VideoFacts, what: string, storedPixels: number): void {
  if (Math.max(width, height) > maxSideRatio * Math.min(width, height))
    throw inputTooNarrow(what, width, height, maxSideRatio);
  if (Math.max(width * height, storedPixels) > maxFramePixels) {
    const size = `has frames of ${width} × ${height} pixels`;
    throw videoInputTooLarge(what, `${size}; at most as many as 4096 × 2304 has are read: send a smaller one`);
  }
  if (durationSeconds !== undefined && durationSeconds > maxSeconds) {
    const limit = `at most ${maxSeconds / 60} minutes are read`;
    throw videoInputTooLarge(what, `lasts ${inWords(durationSeconds)}; ${limit}: send the part that is meant`);
  }
}

function inWords(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 6) / 10} hours`;
}
