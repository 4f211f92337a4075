import type { ErrorReport } from "#contract/errors.ts";
import type { JobResult } from "#runtime/sources/job-source.ts";
import type { PlannedJob } from "../job/build-job.ts";
import type { SavedAsset } from "./save-assets.ts";

/** What became of the one job. `undelivered`: its result is on disk but could not be settled. */
export type RunEnd =
  | { readonly status: "completed"; readonly result: JobResult }
  | { readonly status: "failed"; readonly error: ErrorReport }
  | { readonly status: "undelivered"; readonly error: ErrorReport }
  | { readonly status: "cancelled"; readonly step: number; readonly total: number };

/** The job's end with what is left of it in --out. */
export interface RunOutcome {
  readonly end: RunEnd;
  readonly saved: readonly SavedAsset[];
  readonly seconds: number;
  /** Seconds by stage. */
  readonly stages: ReadonlyMap<string, number>;
  /** What became of the jobs that it has enqueued, and of theirs. */
  readonly children: readonly ChildOutcome[];
}

export interface ChildOutcome {
  readonly planned: PlannedJob;
  readonly end: RunEnd;
  readonly saved: readonly SavedAsset[];
}
