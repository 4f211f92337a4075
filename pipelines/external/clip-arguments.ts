import { unsupportedOption } from "#pipelines/core/errors.ts";
import type { CommandEngine } from "#pipelines/core/host.ts";

/** Reference pictures of a job, as files on this machine. */
export interface ClipReferences {
  readonly single?: string | undefined;
  readonly start?: string | undefined;
  readonly end?: string | undefined;
}

/** A clip in the terms of the classic command line. */
export interface CommandClip {
  readonly prompt: string;
  readonly negativePrompt?: string | undefined;
  /** Of the job: a name of the original command line. */
  readonly task?: string | undefined;
  readonly width: number;
  readonly height: number;
  /** As many as the model makes: 4n+1. */
  readonly frames: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly scheduler?: string | undefined;
  readonly flowShift?: number | undefined;
  readonly seed: number;
  readonly references: ClipReferences;
}

export interface ClipArguments {
  /** `--prompt=a lake`: with the name in one argument, a text that begins with a hyphen is no other option. */
  readonly list: readonly string[];
  readonly task: string;
  readonly solver: string | undefined;
  /** Parameters that the command has no argument for. */
  readonly ignored: readonly string[];
}

/** What a task of the original command line begins with; weights for one kind are of no use to another. */
export function conditionOf(task: string): "text" | "picture" | "first and last picture" | "control video" {
  if (/^flf2v/i.test(task)) return "first and last picture";
  if (/^(?:i2v|ti2v)/i.test(task)) return "picture";
  return /^vace/i.test(task) ? "control video" : "text";
}

/** Its own names for what jobs call otherwise. */
const solvers: Readonly<Record<string, string>> = {
  UniPCMultistepScheduler: "unipc",
  DPMSolverMultistepScheduler: "dpm++",
  FlowMatchEulerDiscreteScheduler: "euler",
};

/** What the classic command line knows where its help does not list them. */
const classicSolvers = ["unipc", "dpm++"];

/** @throws PipelineError UNSUPPORTED_OPTION for what the command cannot do for this job */
export function clipArguments(engine: CommandEngine, clip: CommandClip, saveFile: string): ClipArguments {
  const task = taskOf(engine, clip.task);
  const solver = solverOf(engine, clip.scheduler);
  const negative = engine.options.negative_prompt === undefined ? undefined : clip.negativePrompt || undefined;
  const values = {
    task,
    ckpt_dir: engine.checkpointsFolder,
    size: `${clip.width}*${clip.height}`,
    frame_num: clip.frames,
    sample_steps: clip.steps,
    sample_guide_scale: clip.guidanceScale,
    sample_solver: solver,
    sample_shift: clip.flowShift,
    base_seed: clip.seed,
    prompt: clip.prompt,
    negative_prompt: negative,
    ...referenceArguments(task, clip.references),
    save_file: saveFile,
  };
  const given = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
  const lacking = given.filter(({ name }) => engine.options[name] === undefined).map(({ name }) => `--${name}`);
  if (lacking.length > 0) {
    const message = `the command of this container has no ${lacking.join(", ")}, which this job needs: leave out what it stands for`;
    throw unsupportedOption(message);
  }
  for (const { name, value } of given) checkChoice(engine, name, String(value));
  const isDropped = { scheduler: clip.scheduler !== undefined && solver === undefined, negative_prompt: false };
  isDropped.negative_prompt = (clip.negativePrompt ?? "") !== "" && negative === undefined;
  return {
    list: given.map(({ name, value }) => `--${name}=${value}`),
    task,
    solver,
    ignored: Object.entries(isDropped).flatMap(([name, dropped]) => (dropped ? [name] : [])),
  };
}

function checkChoice({ options }: CommandEngine, name: string, value: string): void {
  const choices = options[name] ?? [];
  if (choices.length === 0 || choices.includes(value)) return;
  throw unsupportedOption(`the command of this container has no --${name} ${value}: it takes ${choices.join(", ")}`);
}

/** The container's own task, for its weights are of one; the job's may be another of the same kind. */
function taskOf({ task }: CommandEngine, wanted: string | undefined): string {
  if (wanted === undefined || conditionOf(wanted) === conditionOf(task)) return task;
  throw unsupportedOption(
    `task "${wanted}" begins with a ${conditionOf(wanted)}, and the command of this container runs "${task}": leave the task out, or send the job to a container with weights for it`,
  );
}

function solverOf({ options }: CommandEngine, scheduler: string | undefined): string | undefined {
  if (scheduler === undefined) return undefined;
  const { sample_solver: listed = [] } = options;
  const known = listed.length > 0 ? listed : classicSolvers;
  const name = solvers[scheduler] ?? scheduler;
  return known.includes(name) ? name : undefined;
}

/** @throws PipelineError UNSUPPORTED_OPTION when the task takes other pictures than the job has */
export function referenceArguments(
  task: string,
  { single, start, end }: ClipReferences,
): Readonly<Record<"image" | "first_frame" | "last_frame", string | undefined>> {
  const kind = conditionOf(task);
  const none = { image: undefined, first_frame: undefined, last_frame: undefined };
  const hasAny = single !== undefined || start !== undefined || end !== undefined;
  if (kind === "text") {
    if (!hasAny) return none;
    throw unsupportedOption(
      `the command of this container runs "${task}", which begins with the prompt alone: leave the reference pictures out`,
    );
  }
  // Those of WAN 2.2's 5B model begin with a picture, or with the prompt alone.
  if (/^ti2v/i.test(task) && !hasAny) return none;
  const first = start ?? single;
  if (kind === "picture" && first !== undefined && end === undefined) return { ...none, image: first };
  if (kind === "first and last picture" && start !== undefined && end !== undefined)
    return { ...none, first_frame: start, last_frame: end };
  const need = kind === "picture" ? "one picture, the first frame" : "a first and a last frame";
  throw unsupportedOption(`the command of this container runs "${task}", which needs ${need}`);
}
