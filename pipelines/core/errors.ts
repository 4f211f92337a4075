/**
 * What a pipeline throws. The runtime reads `code` and `permanent` structurally, so that it never has to import
 * pipeline code: `permanent` means that the same job on the same files can only fail again.
 */

export type PipelineErrorCode =
  | "MODEL_NOT_FOUND"
  | "MODEL_INVALID"
  | "MODEL_UNSUITABLE"
  | "MODEL_TOO_LARGE"
  | "DEVICE_LOST"
  | "DEVICE_FAULT"
  | "UNSUPPORTED_OPTION"
  | "INVALID_JOB"
  | "INPUT_INVALID"
  | "INPUT_TOO_LARGE"
  | "NUMERICAL_ERROR"
  | "OUT_OF_MEMORY"
  | "FFMPEG_MISSING"
  | "LORA_INVALID"
  | "ENCODING_FAILED"
  | "DISK_FULL"
  | "ENGINE_UNAVAILABLE"
  | "ENGINE_FAILED";

export class PipelineError extends Error {
  readonly code: PipelineErrorCode;
  readonly permanent: boolean;

  constructor(code: PipelineErrorCode, message: string, options: { permanent: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "PipelineError";
    this.code = code;
    this.permanent = options.permanent;
  }
}

/** A file or folder of the model is not there. */
export function modelNotFound(what: string, path: string, cause?: unknown): PipelineError {
  return new PipelineError(
    "MODEL_NOT_FOUND",
    `${what} is missing: there is no ${path}. Export the model again or point the models directory at a complete copy.`,
    { permanent: true, cause },
  );
}

/** A file of the model is there, but cannot be what it should be. */
export function modelInvalid(path: string, problem: string, cause?: unknown): PipelineError {
  return new PipelineError("MODEL_INVALID", `${path}: ${problem}`, { permanent: true, cause });
}

/** The model may be in order, but is of another kind than the pipeline runs. */
export function modelUnsuitable(path: string, problem: string): PipelineError {
  return new PipelineError("MODEL_UNSUITABLE", `${path}: ${problem}`, { permanent: true });
}

/** The device has no room for the model, whatever the job is. */
export function modelTooLarge(path: string, cause: unknown): PipelineError {
  return new PipelineError(
    "MODEL_TOO_LARGE",
    `${path}: not enough memory to load the model. Export it in float16, free memory, or run it on a larger device.`,
    { permanent: false, cause },
  );
}

/** What the machine would end this process for, if it were loaded. */
export function needsMoreMemory(path: string, needBytes: number, freeBytes: number): PipelineError {
  return new PipelineError(
    "MODEL_TOO_LARGE",
    `${path}: its weights take ${gigabytes(needBytes)} of memory on a CPU, and ${gigabytes(freeBytes)} are free. Free memory, or run it on a larger machine or a GPU.`,
    { permanent: false },
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** The device is gone or broken: this machine can run nothing on it. */
export function deviceLost(path: string, cause: Error): PipelineError {
  return new PipelineError(
    "DEVICE_LOST",
    `${path}: the GPU is lost (${cause.message}). Restart the machine, or replace it.`,
    {
      permanent: false,
      cause,
    },
  );
}

/** What ran on the device failed, and took the process's access to it along. */
export function deviceFault(path: string, cause: Error): PipelineError {
  return new PipelineError("DEVICE_FAULT", `${path}: a computation on the GPU failed (${cause.message}).`, {
    permanent: false,
    cause,
  });
}

/** The job requests something that this pipeline does not do. */
export function unsupportedOption(message: string): PipelineError {
  return new PipelineError("UNSUPPORTED_OPTION", message, { permanent: true });
}

/** The job's values contradict each other or the model. */
export function invalidJob(message: string): PipelineError {
  return new PipelineError("INVALID_JOB", message, { permanent: true });
}

/**
 * A picture that the job names cannot be read.
 * @param what it is in the job: `mask`
 */
export function inputInvalid(what: string, problem: string, cause?: unknown): PipelineError {
  const message = `The ${what} cannot be used: ${problem}. Send a PNG, JPEG, WebP or GIF.`;
  return new PipelineError("INPUT_INVALID", message, { permanent: true, cause });
}

/** The same of a video. */
export function videoInputInvalid(what: string, problem: string, cause?: unknown): PipelineError {
  const message = `The ${what} cannot be used: ${problem}. Send an MP4, MOV or WebM, or an animated GIF.`;
  return new PipelineError("INPUT_INVALID", message, { permanent: true, cause });
}

/** Of a picture or a video so narrow no model could use anything. */
export function inputTooNarrow(what: string, width: number, height: number, maxRatio: number): PipelineError {
  const message = `The ${what} cannot be used: it has ${width} × ${height} pixels. Send one whose longer side is at most ${maxRatio} times the other.`;
  return new PipelineError("INPUT_INVALID", message, { permanent: true });
}

/** A video that the job names is longer or larger than are read. */
export function videoInputTooLarge(what: string, problem: string): PipelineError {
  return new PipelineError("INPUT_TOO_LARGE", `The ${what} ${problem}.`, { permanent: true });
}

/** A picture that the job names has more pixels than are read. */
export function inputTooLarge(what: string, width: number, height: number, max: number): PipelineError {
  return new PipelineError(
    "INPUT_TOO_LARGE",
    `The ${what} has ${width} × ${height} pixels; at most ${max / 1e6} million are read. Send a smaller one.`,
    { permanent: true },
  );
}

/**
 * NaN or infinity where a number must be. Not permanent: without a fixed seed another attempt draws other noise, and
 * another machine may not share a hardware fault.
 */
export function numericalError(where: string, hint: string): PipelineError {
  return new PipelineError("NUMERICAL_ERROR", `NaN or infinity in ${where}. ${hint}`, { permanent: false });
}

/** The device has not enough memory for this run. */
export function outOfMemory(path: string, cause: unknown): PipelineError {
  return new PipelineError(
    "OUT_OF_MEMORY",
    `${path}: not enough memory to run the model. Use fewer images, a smaller size or a device with more memory.`,
    { permanent: false, cause },
  );
}
