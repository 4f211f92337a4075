import { join } from "node:path";
import { invalidJob } from "#pipelines/core/errors.ts";
import type { CommandEngine, VideoHost } from "#pipelines/core/host.ts";
import { roundSeconds } from "#pipelines/diffusion/report-load.ts";
import type { GenerationOutput } from "#pipelines/diffusion/run-generation.ts";
import { type ClipArguments, type ClipReferences, clipArguments, conditionOf } from "./clip-arguments.ts";
import { type CommandEnd, runCommand } from "./command-process.ts";
import { endedBadly, engineFailed, engineUnavailable } from "./errors.ts";
import { RunFolder } from "./made-file.ts";
import { StepWatch } from "./progress-bar.ts";
import { type ClipSettings, saveClip } from "./save-clip.ts";

/** What is to be made, decided by who runs the job. */
export interface ExternalClip extends ClipSettings {
  readonly negativePrompt?: string | undefined;
  readonly task?: string | undefined;
  readonly framesRequested: number;
  readonly flowShift?: number | undefined;
  /** A name of a flow scheduler. */
  readonly scheduler?: string | undefined;
  readonly references?: ClipReferences | undefined;
  /** Parameters that were given, and that no command of this kind takes. */
  readonly ignored: readonly string[];
}

/** Frames of one latent frame after the first. */
const temporalScale = 4;

/**
 * Makes a clip by the container's command in the place of a model here, and hands it over like one of our own.
 * @throws PipelineError ENGINE_UNAVAILABLE, ENGINE_FAILED, OUT_OF_MEMORY, UNSUPPORTED_OPTION, INVALID_JOB, DISK_FULL,
 *   FFMPEG_MISSING or ENCODING_FAILED; the signal's reason when it is aborted, when the command is gone
 */
export async function generateByCommand(
  engine: CommandEngine,
  clip: ExternalClip,
  host: VideoHost,
): Promise<GenerationOutput> {
  const start = performance.now();
  const folder = await RunFolder.make(await host.scratch());
  // The model makes 4n+1 frames: what is beyond the wanted ones is cut off.
  const made = Math.ceil((clip.frames - 1) / temporalScale) * temporalScale + 1;
  const isPicture = savesPicture(engine, clip);
  const file = join(folder.path, isPicture ? "clip.png" : "clip.mp4");
  const args = clipArguments(engine, { ...commandClip(clip), frames: made }, file);
  const end = await run(engine, args, folder, host);
  await folder.checkMade(file, end.lines);
  host.stage?.({ name: "command", seconds: (performance.now() - start) / 1000 });
  const { task: model, solver } = args;
  const saved = await saveClip({ clip, made, file, isPicture, model, solver, isExact: isExact(clip) }, host);
  return { metadata: { ...report(clip, args, start), ...saved } };
}

function commandClip({ references = {}, ...clip }: ExternalClip) {
  const { prompt, negativePrompt, task, width, height, scheduler, flowShift, seed } = clip;
  const { num_inference_steps: steps, guidance_scale: guidanceScale } = clip;
  return { prompt, negativePrompt, task, width, height, scheduler, flowShift, seed, steps, guidanceScale, references };
}

/** The classic command line writes what its task makes, whatever the file is called. */
function savesPicture({ task }: CommandEngine, { frames }: ExternalClip): boolean {
  return frames === 1 && /^t2i/i.test(task);
}

/** With a picture to begin with, the original keeps its proportions within the area of the wanted size. */
function isExact({ references: { single, start, end } = {} }: ExternalClip): boolean {
  return single === undefined && start === undefined && end === undefined;
}

async function run(
  engine: CommandEngine,
  { list }: ClipArguments,
  folder: RunFolder,
  host: VideoHost,
): Promise<CommandEnd> {
  const { command, environment, timeoutSeconds } = engine;
  const { signal } = host;
  const [program = ""] = command;
  const steps = new StepWatch((step, total) => host.progress(step, total));
  const timeoutMs = timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000;
  const options = { environment, folder: folder.path, signal, timeoutMs, onBar: steps.see.bind(steps) };
  const end = await runCommand({ ...options, command: [...command, ...list] }).catch((error: unknown) => {
    signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    if ("code" in error && error.code === "E2BIG")
      throw invalidJob("the prompt is longer than the system passes to a command");
    throw engineUnavailable(program, error);
  });
  host.log.info({ program, code: end.code, signal: end.signal, lines: end.lines }, "the last lines of the command");
  if (end.wasTooLong)
    throw engineFailed(`The command was stopped after ${timeoutSeconds} s, its time limit`, end.lines);
  if (end.code !== 0) throw endedBadly(end);
  return end;
}

function report(clip: ExternalClip, { task, solver, ignored }: ClipArguments, startMs: number) {
  const { seed, width, height, num_inference_steps, guidance_scale, flowShift, frames, framesRequested } = clip;
  return {
    ...{ seed, width, height, num_inference_steps, guidance_scale },
    ...(flowShift === undefined ? {} : { flow_shift: flowShift }),
    ...(solver === undefined ? {} : { scheduler: solver }),
    ignored: [...new Set([...clip.ignored, ...ignored])],
    engine: "process",
    wan_task: task,
    ...referencesOf(task, clip.references),
    content_type: frames === 1 ? "image" : "video",
    frame_num: frames,
    ...(frames === framesRequested ? {} : { frame_num_requested: framesRequested }),
    enhancement_strategy: "none",
    generation_time: roundSeconds((performance.now() - startMs) / 1000),
  };
}

/** The pictures that the clip was made from, and by which weights. */
function referencesOf(task: string, { single, start, end }: ClipReferences = {}): Readonly<Record<string, string>> {
  const modes = {
    both: start !== undefined && end !== undefined,
    start: start !== undefined,
    single: single !== undefined,
  };
  const mode = Object.entries(modes).find(([, isGiven]) => isGiven)?.[0];
  if (mode === undefined) return { reference_mode: "none" };
  return { reference_mode: mode, reference_path: conditionOf(task) === "picture" ? "i2v" : "flf2v" };
}
