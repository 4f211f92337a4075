/**
 * What a pipeline needs of whoever runs its job, stated as a shape, so that pipelines import no job runtime: the context
 * of a handler fits it, when what its `parameters` make of a job fits `Parameters`.
 */
export interface PipelineHost<Parameters = unknown> {
  /** Aborted on cancel, time-out and shutdown. */
  readonly signal: AbortSignal;
  readonly log: {
    info(fields: Readonly<Record<string, unknown>>, message: string): void;
    warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  };
  /** Reports `step` of `total`, with a picture of the state when there is one. */
  progress(
    step: number,
    total: number,
    preview?: { readonly mimeType: "image/webp"; readonly bytes: Uint8Array },
  ): void;
  /** Receives each stage that has ended; without `startedAtMs`, just now. Of `load`: which model came, which had to go. */
  stage?(stage: {
    readonly name: string;
    readonly seconds: number;
    readonly startedAtMs?: number;
    readonly model?: string;
    readonly freed?: string;
  }): void;
  /** The job's parameters, resolved over all tiers and checked. */
  parameters(): Promise<Parameters>;
  /** The model folder that the job names; `version` is another one after a file was written to or replaced. */
  model(): Promise<{ readonly name: string; readonly path: string; readonly version: string }>;
  /** Takes a finished file over. */
  asset(content: Uint8Array, options: AssetOptions<"image">): Promise<void>;
}

/** What a pipeline that begins with files of others needs beside that. */
export interface ReferenceHost<Parameters = unknown> extends PipelineHost<Parameters> {
  /** Brings the file of an address here, as far as it may be fetched. */
  input(url: string): Promise<{ readonly file: string; readonly mimeType: string }>;
}

/** What a pipeline that LoRA files can be merged into needs beside that. */
export interface LoraHost<Parameters = unknown> extends PipelineHost<Parameters> {
  /** The file of this name or address; `version` is another one for other content, `name` what may be shown of it. */
  lora(source: string): Promise<{ readonly file: string; readonly version: string; readonly name: string }>;
}

/** What a pipeline that makes video files needs beside that. */
export interface VideoHost<Parameters = unknown> extends PipelineHost<Parameters> {
  /** Set where a command of the container's makes the videos. */
  readonly engine?: CommandEngine | undefined;
  /** A folder for files under way; what is left in it goes when the job has ended. */
  scratch(): Promise<string>;
  /** Takes a finished file over; one that is named is moved away. */
  asset(content: Uint8Array | { readonly file: string }, options: AssetOptions<"image" | "video">): Promise<void>;
}

/** An external command that runs a worker's jobs in the place of the pipelines here. */
export interface CommandEngine {
  /** The program and its first arguments. */
  readonly command: readonly string[];
  /** Its arguments by name, as its help lists them, each with its choices where the help has those. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  /** All that is in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where its weights are. */
  readonly checkpointsFolder?: string | undefined;
  /** What these weights are for, by a name of the original command line. */
  readonly task: string;
  /** Limit of one run; undefined: as long as the job may take. */
  readonly timeoutSeconds?: number | undefined;
}

interface AssetOptions<Type extends string> {
  readonly type: Type;
  readonly extension: string;
  readonly mimeType: string;
  readonly thumbnail: { readonly extension: string; readonly mimeType: string; readonly bytes: Uint8Array };
  readonly metadata: Readonly<Record<string, unknown>>;
}
