import type { ErrorReport } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { InputOptions } from "./job-input.ts";

/** What the environment says of RunPod. Addresses are templates. */
export interface RunpodSettings {
  readonly takeUrl: string;
  readonly outputUrl: string;
  /** Null where nobody takes chunks of a stream. */
  readonly streamUrl: string | null;
  readonly pingUrl: string | null;
  readonly pingIntervalMs: number;
  readonly apiKey: string | undefined;
  /** RunPod's name of this container; without it, it is not pinged. */
  readonly podId: string | undefined;
  readonly gpuType: string | undefined;
  readonly defaultType: string | undefined;
  /** How many jobs this container has at a time. */
  readonly maxConcurrency: number;
  /** The platform is to replace this container after so many jobs; 0: never. */
  readonly refreshAfterJobs: number;
  readonly fitness: FitnessSettings | null;
  readonly leaseSeconds: number;
}

export interface FitnessSettings {
  readonly minMemoryGb: number;
  readonly minDiskPercent: number;
  /** The platform says that there is a GPU. */
  readonly needsGpu: boolean;
}

export interface RunpodSourceOptions extends RunpodSettings, Pick<InputOptions, "handlerOf"> {
  /** As RunPod calls this container. */
  readonly workerId: string;
  knownTypes(): readonly string[];
  /** Whether this container has an executor for the worker, busy or not; without it, it has one for each. */
  runsHere?(worker: string): boolean;
  readonly hostname: string;
  /** Where failures are kept that the platform has not taken; without it, they last as long as this process. */
  readonly failuresFolder?: string;
  readonly log?: Logger | undefined;
  /** The platform was requested to replace this container: it should come to its end. */
  requestStop?(): void;
  readonly timings?: Partial<Timings>;
  readonly nowMs?: () => number;
  /** A clock that is never set. */
  readonly monotonicMs?: () => number;
  readonly random?: () => number;
}

export interface Timings {
  /** How long the beginning of an answer to a take, or of the stop channel, is waited for. */
  readonly pollLimitMs: number;
  /** How long the rest of an answer may take that has begun: what is in it is handed out to nobody else. */
  readonly answerLimitMs: number;
  /** Between two polls, where the answer came at once. */
  readonly floorMs: number;
  readonly throttledMs: number;
  /** After errors in a row; the last one from then on. */
  readonly errorPausesMs: readonly number[];
  readonly postPausesMs: readonly number[];
  readonly progressEveryMs: number;
  /** How long an answer to progress is waited for: the end of the job waits as well. */
  readonly progressLimitMs: number;
  /** How long a job waits here for a type or model that this container does not offer, before it fails. */
  readonly unofferedLimitMs: number;
}

export const defaultTimings: Timings = {
  pollLimitMs: 90_000,
  answerLimitMs: 60_000,
  floorMs: 200,
  throttledMs: 5_000,
  errorPausesMs: [1_000, 2_000, 5_000, 10_000],
  postPausesMs: [2_000, 3_000],
  progressEveryMs: 1_000,
  progressLimitMs: 20_000,
  unofferedLimitMs: 60_000,
};

/** A service that does not answer, or refuses what it is sent. */
export type Trouble = ErrorReport & { readonly sinceMs: number };
