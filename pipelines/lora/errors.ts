import { PipelineError } from "#pipelines/core/errors.ts";

/** A LoRA file is there, but cannot be merged into this model. */
export function loraInvalid(path: string, problem: string, cause?: unknown): PipelineError {
  return new PipelineError("LORA_INVALID", `${path}: ${problem}`, { permanent: true, cause });
}
