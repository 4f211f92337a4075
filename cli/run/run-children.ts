import type { Config } from "#runtime/container/config.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { startRuntime } from "#runtime/container/start-runtime.ts";
import { workersFor } from "#runtime/job-types/call-graph.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { PlannedJob } from "../job/build-job.ts";
import { ChildJobs } from "./child-jobs.ts";
import type { ProgressView } from "./progress-view.ts";
import type { ChildOutcome, RunEnd } from "./run-outcome.ts";
import { RunWatch } from "./run-watch.ts";
import type { SavedAsset } from "./save-assets.ts";

/* What a job has enqueued lies in the run's own folder, which no container looks into: it is run here too, before the folder goes. */

export interface ChildrenParts {
  readonly config: Config;
  readonly log: Logger;
  readonly view: ProgressView;
  readonly signal: AbortSignal;
  /** Brings the files of one job to where the run's files go. */
  keep(runtime: Runtime, planned: PlannedJob, end: RunEnd): Promise<readonly SavedAsset[]>;
}

/** Runs them, their own children too, in the order in which they were made. Returns the runtime that is to be stopped. */
export async function runChildren(
  parent: PlannedJob,
  first: Runtime,
  { config, log, view, signal, keep }: ChildrenParts,
): Promise<{ readonly runtime: Runtime; readonly children: readonly ChildOutcome[] }> {
  const made = new ChildJobs(parent.job.id);
  const children: ChildOutcome[] = [];
  let runtime = first;
  for (;;) {
    const child = signal.aborted ? null : await made.next(runtime);
    if (child === null) return { runtime, children };
    const { type, worker } = child.handler;
    if (!runtime.executors.has(worker)) {
      // Only the workers of the job itself were started.
      await runtime.stop();
      runtime = await startRuntime({ ...config, workers: workersFor(type, runtime.registry.all()) }, log);
    }
    view.note(`child ${children.length + 1}: ${type} ${child.job.id}`);
    const end = await new RunWatch(runtime, child, view).follow(signal);
    view.close();
    children.push({ planned: child, end, saved: await keep(runtime, child, end) });
  }
}
