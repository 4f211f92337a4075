import { PipelineError } from "#pipelines/core/errors.ts";
import type { CommandEnd } from "./command-process.ts";
import { saysOutOfMemory } from "./output-lines.ts";

/** Lines that a message has room for. */
const shownLines = 3;

/** The command cannot be run on this machine, whatever the job is. */
export function engineUnavailable(program: string, cause: Error): PipelineError {
  return new PipelineError(
    "ENGINE_UNAVAILABLE",
    `The command ${program} cannot be run (${cause.message}): install it, or mend the setting that names it.`,
    { permanent: false, cause },
  );
}

/** The command did not do what it was run for; another attempt may. */
export function engineFailed(problem: string, lastLines: readonly string[] = []): PipelineError {
  const said = lastLines.slice(-shownLines).join("; ");
  return new PipelineError("ENGINE_FAILED", `${problem}${said === "" ? "." : `: ${said}`}`, { permanent: false });
}

const diskFull = /No space left on device|Disk quota exceeded/;

/** What became of a command that did not end well. */
export function endedBadly({ code, signal, lines, wasOutOfMemory }: CommandEnd): PipelineError {
  if (wasOutOfMemory) {
    const said = lines.findLast(saysOutOfMemory) ?? "its output says so";
    const remedy = "Use fewer frames, a smaller size or a device with more memory";
    return new PipelineError("OUT_OF_MEMORY", `The command had not enough memory (${said}). ${remedy}.`, {
      permanent: false,
    });
  }
  if (lines.some((line) => diskFull.test(line))) {
    const message = "The disk is full while a command made a clip: free some space in the data folder (DATA_DIR).";
    return new PipelineError("DISK_FULL", message, { permanent: false });
  }
  const hint = signal === "SIGKILL" ? " (often by the system, for want of memory)" : "";
  const how = signal === null ? `ended with code ${code}` : `was killed by ${signal}${hint}`;
  return engineFailed(`The command ${how}`, lines);
}
