import { execFile } from "node:child_process";
import { chmodSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { availableEncoders } from "./available-encoders.ts";
import { ffmpegMissing } from "./errors.ts";

/** The two programs: a path each, or a name that the system looks up on the PATH. */
export interface FfmpegPaths {
  readonly ffmpeg: string;
  readonly ffprobe: string;
}

const answerLimitMs = 10_000;

let found: Promise<FfmpegPaths> | undefined;

/**
 * The programs on the PATH, else those of the npm packages `@ffmpeg-installer` and `@ffprobe-installer`, which carry them
 * in their archives; these also where the PATH's ffmpeg lacks libx264. Looked up once in a process; looked up again after a failure.
 * @throws PipelineError FFMPEG_MISSING
 */
export function findFfmpeg(): Promise<FfmpegPaths> {
  found ??= locate().catch((error: unknown) => {
    found = undefined;
    throw error;
  });
  return found;
}

async function locate(): Promise<FfmpegPaths> {
  const [ffmpeg, ffprobe] = await Promise.all([
    firstThatEncodes(["ffmpeg", packagedTool("ffmpeg")]),
    firstThatRuns("ffprobe", ["ffprobe", packagedTool("ffprobe")]),
  ]);
  return { ffmpeg, ffprobe };
}

/**
 * The first candidate that encodes MP4 as every player takes it; those of conda, Fedora and others do not. When none does,
 * the first one that runs.
 * @throws PipelineError FFMPEG_MISSING when none does
 */
export async function firstThatEncodes(candidates: readonly (string | undefined)[]): Promise<string> {
  for (const candidate of candidates) {
    if (candidate === undefined) continue;
    const encoders = await availableEncoders(candidate).catch(() => new Set<string>());
    if (encoders.has("libx264")) return candidate;
  }
  return await firstThatRuns("ffmpeg", candidates);
}

/** The first candidate that answers `-version`. @throws PipelineError FFMPEG_MISSING when none does */
export async function firstThatRuns(tool: string, candidates: readonly (string | undefined)[]): Promise<string> {
  let problem: unknown;
  for (const candidate of candidates) {
    if (candidate === undefined) continue;
    try {
      await promisify(execFile)(candidate, ["-version"], { timeout: answerLimitMs });
      return candidate;
    } catch (error) {
      problem = error;
    }
  }
  throw ffmpegMissing(tool, problem);
}

/** The file in the npm package of this platform; undefined where there is none. */
export function packagedTool(tool: "ffmpeg" | "ffprobe"): string | undefined {
  try {
    const wrapper = createRequire(import.meta.url).resolve(`@${tool}-installer/${tool}/package.json`);
    const platform = `@${tool}-installer/${process.platform}-${process.arch}/package.json`;
    const folder = dirname(createRequire(wrapper).resolve(platform));
    const file = join(folder, process.platform === "win32" ? `${tool}.exe` : tool);
    letRun(file);
    return file;
  } catch {
    return undefined;
  }
}

/** ffprobe is packed without the permission to run it; the package would set it in an install script, and none is run here. */
function letRun(file: string): void {
  if ((statSync(file).mode & 0o100) === 0) chmodSync(file, 0o755);
}
