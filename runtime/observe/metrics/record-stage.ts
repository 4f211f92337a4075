import type { StageMessage } from "#runtime/executor/protocol.ts";
import type { Metrics } from "./metrics.ts";

/** What a stage that has ended says of its handler, and of the worker's models. */
export function recordStage(
  metrics: Pick<Metrics, "stageSeconds" | "modelLoadSeconds" | "modelSwitches" | "modelEvictions">,
  { type, worker }: { readonly type: string; readonly worker: string },
  { name, seconds, model, freed }: StageMessage,
): void {
  metrics.stageSeconds.observe({ type, stage: name }, seconds);
  if (model !== undefined) metrics.modelLoadSeconds.observe({ worker, model }, seconds);
  if (freed === undefined) return;
  metrics.modelSwitches.add({ worker });
  metrics.modelEvictions.add({ worker, model: freed });
}
