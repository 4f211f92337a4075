import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import sharp from "sharp";
import { z } from "zod";
import { type Container, probeArguments } from "./commands.ts";
import { ffmpegMissing, videoInvalid } from "./errors.ts";
import type { FfmpegPaths } from "./ffmpeg-paths.ts";

/** What is found in a file. */
export interface VideoFacts {
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  readonly durationSeconds: number;
  readonly codec: string;
  /** How colours are stored, as ffprobe names it: `yuv420p`. */
  readonly pixelFormat?: string;
}

export interface ExpectedVideo {
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
}

/**
 * Reads the file and compares. @returns its codec and size in bytes
 * @throws PipelineError ENCODING_FAILED naming what differs; FFMPEG_MISSING; the signal's reason
 */
export async function verifyVideo(
  file: string,
  container: Container,
  expected: ExpectedVideo,
  paths: FfmpegPaths,
  signal: AbortSignal | undefined,
): Promise<{ readonly facts: VideoFacts; readonly sizeBytes: number }> {
  const facts = container === "webp" ? await readWebp(file) : await probe(file, paths, signal);
  const differences = (["frames", "width", "height"] as const)
    .filter((name) => facts[name] !== expected[name])
    .map((name) => `${name} ${facts[name]} instead of ${expected[name]}`);
  const duration = expected.frames / expected.fps;
  // Less than one frame: WebM and WebP count in milliseconds.
  if (Math.abs(facts.durationSeconds - duration) * expected.fps > 0.9)
    differences.push(`${facts.durationSeconds} s instead of ${duration} s`);
  if (differences.length > 0) throw videoInvalid(differences.join(", "));
  return { facts, sizeBytes: (await stat(file)).size };
}

const number = z.coerce.number();
const probed = z.object({
  streams: z.tuple([
    z.object({
      codec_name: z.string(),
      pix_fmt: z.string().optional(),
      width: number,
      height: number,
      // Exact, where the container has one; that of the whole file is in milliseconds.
      duration: number.optional(),
    }),
  ]),
  format: z.object({ duration: number }),
  packets: z.array(z.object({ size: number.positive() })),
});

/** A line for each frame: enough for hours. */
const maxReportBytes = 64 * 1024 * 1024;

/** @throws PipelineError ENCODING_FAILED, FFMPEG_MISSING; the signal's reason */
export async function probe(
  file: string,
  { ffprobe }: FfmpegPaths,
  signal: AbortSignal | undefined,
): Promise<VideoFacts> {
  const options = { signal, killSignal: "SIGKILL", maxBuffer: maxReportBytes } as const;
  const { stdout } = await promisify(execFile)(ffprobe, probeArguments(file), options).catch((error: unknown) => {
    signal?.throwIfAborted();
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "EACCES") throw ffmpegMissing("ffprobe", error);
    throw videoInvalid("ffprobe cannot read it", error);
  });
  const read = probed.safeParse(JSON.parse(stdout));
  if (!read.success) throw videoInvalid("ffprobe finds no video in it", read.error);
  const [stream] = read.data.streams;
  const { width, height, codec_name: codec, pix_fmt: pixelFormat } = stream;
  return {
    frames: read.data.packets.length,
    width,
    height,
    codec,
    ...(pixelFormat === undefined ? {} : { pixelFormat }),
    durationSeconds: stream.duration ?? read.data.format.duration,
  };
}

/** ffmpeg writes animated WebP and cannot read it. */
async function readWebp(file: string): Promise<VideoFacts> {
  const { width, height, pageHeight, pages = 1, delay = [] } = await sharp(file, { animated: true }).metadata();
  const milliseconds = delay.reduce((sum, each) => sum + each, 0);
  return { frames: pages, width, height: pageHeight ?? height, codec: "webp", durationSeconds: milliseconds / 1000 };
}
