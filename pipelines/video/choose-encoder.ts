import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { availableEncoders, once } from "./available-encoders.ts";
import { type Container, encodeArguments, type VideoEncoderName } from "./commands.ts";
import { encoderMissing, encodingFailed } from "./errors.ts";
import type { FfmpegPaths } from "./ffmpeg-paths.ts";
import { FfmpegProcess } from "./ffmpeg-process.ts";
import type { Size } from "./frame-size.ts";

/** `auto`: the GPU's encoder for MP4 where it works, else the CPU's. */
export type EncoderChoice = "auto" | "cpu";

export interface ChosenEncoder {
  readonly encoder: VideoEncoderName;
  /** Why it is not the GPU's encoder although ffmpeg has that. */
  readonly fellBack?: string;
}

/** Sizes that every generation of the GPU's encoder takes. */
const nvencLimits = { minWidth: 160, minHeight: 64, maxEdge: 4096 };

/** As ffmpeg reports it where there is no NVIDIA driver. */
const noDriver = /Cannot load (?:libcuda|nvcuda)/;

/** SVT-AV1 takes nothing smaller. */
const minAv1Edge = 64;

const limitMs = 30_000;

const nvencByPath = new Map<string, Promise<string | null>>();

/** @throws PipelineError FFMPEG_MISSING, also when this ffmpeg has no H.264; UNSUPPORTED_OPTION when it has no encoder for WebM or WebP */
export async function chooseEncoder(
  container: Container,
  size: Size,
  choice: EncoderChoice,
  { ffmpeg }: FfmpegPaths,
): Promise<ChosenEncoder> {
  const available = await availableEncoders(ffmpeg);
  const onCpu = () => ({ encoder: firstOf(container, encodersFor(container, size), available) });
  if (container !== "mp4" || choice === "cpu" || !available.has("h264_nvenc")) return onCpu();
  const problem = (await nvencProblem(ffmpeg)) ?? sizeProblem(size);
  if (problem === null) return { encoder: "h264_nvenc" };
  // Without the driver there is no GPU to fall back from.
  return noDriver.test(problem) ? onCpu() : { ...onCpu(), fellBack: problem };
}

/** The GPU's encoder has failed although it had been found to work: this process does not use it again. */
export function markNvencFailed({ ffmpeg }: FfmpegPaths, problem: string): void {
  nvencByPath.set(ffmpeg, Promise.resolve(problem));
}

/** Best first. libaom's AV1 encoder is left out: it takes minutes for what the others do in seconds. */
function encodersFor(container: Container, { width, height }: Size): readonly VideoEncoderName[] {
  switch (container) {
    case "mp4":
      return ["libx264"];
    case "webm":
      return Math.min(width, height) < minAv1Edge ? ["libvpx-vp9"] : ["libsvtav1", "libvpx-vp9"];
    case "webp":
      return ["libwebp_anim"];
  }
}

/** @throws PipelineError as `encoderMissing` when this ffmpeg was built without any of them */
function firstOf(
  container: Container,
  wanted: readonly VideoEncoderName[],
  available: ReadonlySet<string>,
): VideoEncoderName {
  const found = wanted.find((encoder) => available.has(encoder));
  if (found !== undefined) return found;
  throw encoderMissing(container, wanted);
}

function sizeProblem({ width, height }: Size): string | null {
  const { minWidth, minHeight, maxEdge } = nvencLimits;
  const fits = width >= minWidth && height >= minHeight && Math.max(width, height) <= maxEdge;
  return fits ? null : `${width}×${height} is not a size that the GPU's encoder takes`;
}

/** Why the GPU's encoder does not work here; null when it does. Tried once in a process, on four frames. */
function nvencProblem(ffmpeg: string): Promise<string | null> {
  return once(nvencByPath, ffmpeg, async () => {
    const size = { width: 256, height: 256 };
    const output = join(tmpdir(), `ourvidz-nvenc-${randomUUID()}.mp4`);
    const command = { ...size, fps: 16, container: "mp4", encoder: "h264_nvenc", crf: 18, output } as const;
    const trial = new FfmpegProcess(ffmpeg, encodeArguments(command));
    const killer = setTimeout(() => void trial.kill(), limitMs);
    const frame = new Uint8Array(size.width * size.height * 3);
    for (let written = 0; written < 4; written++) await trial.write(frame);
    trial.close();
    const end = await trial.ended;
    clearTimeout(killer);
    await rm(output, { force: true });
    return end.kind === "ended" && end.code === 0 ? null : encodingFailed(end, 4).message;
  });
}
