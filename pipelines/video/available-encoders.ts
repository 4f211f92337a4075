import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ffmpegMissing } from "./errors.ts";

const limitMs = 30_000;

const listsByPath = new Map<string, Promise<ReadonlySet<string>>>();

/** What this ffmpeg encodes video with, read once in a process. @throws PipelineError FFMPEG_MISSING when it cannot be run */
export function availableEncoders(ffmpeg: string): Promise<ReadonlySet<string>> {
  return once(listsByPath, ffmpeg, async () => {
    try {
      const { stdout } = await promisify(execFile)(ffmpeg, ["-hide_banner", "-encoders"], { timeout: limitMs });
      // " V....D libx264              libx264 H.264 / AVC …"
      return new Set([...stdout.matchAll(/^ V\S{5} (\S+)/gm)].map(([, name = ""]) => name));
    } catch (error) {
      throw ffmpegMissing("ffmpeg", error);
    }
  });
}

/** The first call's result for all; after a failure, the next call tries again. */
export function once<Result>(results: Map<string, Promise<Result>>, key: string, make: () => Promise<Result>) {
  const known = results.get(key);
  if (known !== undefined) return known;
  const result = make();
  results.set(key, result);
  result.catch(() => results.delete(key));
  return result;
}
