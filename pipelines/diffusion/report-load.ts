import type { PipelineHost } from "#pipelines/core/host.ts";
import type { LoadedPipeline } from "#pipelines/core/pipeline-slot.ts";

/** Where a pipeline's denoiser runs. */
export interface Placed {
  readonly executionProvider: "cpu" | "cuda";
  /** Why it runs on the CPU although CUDA's library is installed. */
  readonly cudaProblem: string | undefined;
}

/** Reports a model that this job had to wait for; nothing when it was in memory already. */
export function reportLoad(
  { pipeline, loadSeconds, freed }: LoadedPipeline<Placed>,
  model: string,
  host: PipelineHost,
): void {
  if (loadSeconds === 0) return;
  const { log } = host;
  host.stage?.({ name: "load", seconds: loadSeconds, model, ...(freed === undefined ? {} : { freed }) });
  const { executionProvider, cudaProblem } = pipeline;
  log.info({ model, seconds: roundSeconds(loadSeconds), executionProvider }, "loaded the model");
  if (cudaProblem !== undefined) log.warn({ model, problem: cudaProblem }, "CUDA does not work: using the CPU");
}

/** To milliseconds: what people read. */
export function roundSeconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
