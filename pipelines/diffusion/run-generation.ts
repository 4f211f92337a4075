import type { PipelineHost } from "#pipelines/core/host.ts";
import type { Disposable, LoadedPipeline, PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { type Placed, reportLoad, roundSeconds } from "./report-load.ts";
import { StageTimer } from "./stage-timer.ts";

/** What is reported of a finished job, beside its assets. */
export interface GenerationOutput {
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What a job's own work gets. */
export interface Generation<Pipeline> {
  readonly pipeline: Pipeline;
  /** Name of the model's folder. */
  readonly model: string;
  readonly timer: StageTimer;
}

/**
 * The frame of every job that runs a pipeline of diffusion: the model loaded, its turn waited for, stages timed and
 * reported, and what is measured of every job put beside what `work` reports of this one.
 * @param slot of the family, loaded with its model code when a job runs
 * @throws what loading and `work` throw; the signal's reason when it is aborted
 */
export async function runGeneration<Pipeline extends Disposable & Placed>(
  host: PipelineHost,
  slot: () => Promise<PipelineSlot<Pipeline>>,
  work: (generation: Generation<Pipeline>) => Promise<Readonly<Record<string, unknown>>>,
): Promise<GenerationOutput> {
  const model = await host.model();
  return (await slot()).use(
    () => host.model(),
    async (loaded: LoadedPipeline<Pipeline>) => {
      host.signal.throwIfAborted();
      reportLoad(loaded, model.name, host);
      const start = performance.now();
      const timer = new StageTimer((stage) => host.stage?.(stage));
      const metadata = await work({ pipeline: loaded.pipeline, model: model.name, timer });
      return {
        metadata: {
          ...metadata,
          generation_time: roundSeconds((performance.now() - start) / 1000),
          load_time: roundSeconds(loaded.loadSeconds),
          execution_provider: loaded.pipeline.executionProvider,
        },
      };
    },
  );
}
