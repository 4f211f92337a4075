import { PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import type { Container } from "./commands.ts";
import type { ProcessEnd } from "./ffmpeg-process.ts";

/** Neither on the PATH nor in the npm packages: this machine can make no videos. */
export function ffmpegMissing(tool: string, cause?: unknown): PipelineError {
  return new PipelineError(
    "FFMPEG_MISSING",
    `${tool} cannot be run, and videos need ffmpeg and ffprobe: install them (Debian, Ubuntu: apt-get install ffmpeg; macOS: brew install ` +
      "ffmpeg) so that they are on the PATH, or install this project's optional npm packages (npm ci without --omit=optional).",
    { permanent: false, cause },
  );
}

/**
 * This ffmpeg was built without what a container of video needs. Without H.264 it can make no videos; without another one
 * it cannot make this job's.
 */
export function encoderMissing(container: Container, encoders: readonly string[]): PipelineError {
  const names = encoders.join(" or ");
  if (container !== "mp4") {
    return unsupportedOption(`The ffmpeg on this machine has no encoder ${names} for ${container}: request mp4.`);
  }
  return new PipelineError(
    "FFMPEG_MISSING",
    `The ffmpeg on this machine has no encoder ${names}: install one that has, as that of Debian, Ubuntu or Homebrew.`,
    { permanent: false },
  );
}

/** What became of an encoding that ffmpeg did not end well. Another attempt may. */
export function encodingFailed(end: ProcessEnd, written: number): PipelineError {
  if (end.kind === "not_started") return ffmpegMissing(end.command, end.error);
  if (isDiskFull(end.log)) return diskFull();
  const frames = `after ${written} frame${written === 1 ? "" : "s"}`;
  if (end.signal !== null) {
    const hint = end.signal === "SIGKILL" ? " (often by the system, for want of memory)" : "";
    return new PipelineError("ENCODING_FAILED", `ffmpeg was killed ${frames}: ${end.signal}${hint}.`, {
      permanent: false,
    });
  }
  const reason = end.log.trim().split("\n").slice(-3).join("; ") || "it gave no reason";
  return new PipelineError("ENCODING_FAILED", `ffmpeg ended with code ${end.code} ${frames}: ${reason}`, {
    permanent: false,
  });
}

/** ffmpeg ended well, and yet its file is not what it should be. */
export function videoInvalid(problem: string, cause?: unknown): PipelineError {
  return new PipelineError("ENCODING_FAILED", `The encoded video is not what it should be: ${problem}.`, {
    permanent: false,
    cause,
  });
}

export function diskFull(cause?: unknown): PipelineError {
  return new PipelineError(
    "DISK_FULL",
    "The disk is full while encoding a video: free some space in the data folder (DATA_DIR), and retry the job.",
    { permanent: false, cause },
  );
}

function isDiskFull(log: string): boolean {
  return /No space left on device|Disk quota exceeded/i.test(log);
}
