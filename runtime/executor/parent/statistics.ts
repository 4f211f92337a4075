import type { FromAttempt } from "../protocol.ts";
import type { AttemptEnd } from "./task-slot.ts";

/** What an executor has done, and what its process has of the machine. */
export interface ExecutorCounts {
  /** Unexpected ends of its process. */
  readonly restarts: number;
  /** Attempts that were run to an end, whatever the end. */
  readonly jobsProcessed: number;
  /** Attempts that failed here, or that died with the process. */
  readonly errors: number;
  readonly lastJobAtMs: number | null;
  readonly heldModels: readonly string[];
  /** Resident bytes, as the process reported them after its last job; null before, and when there is no process. */
  readonly memoryBytes: number | null;
  /** Since when the process that runs now is ready; null when none is. */
  readonly readySinceMs: number | null;
  /** How long the last start took until the process was ready; null before the first. */
  readonly startSeconds: number | null;
}

export type EndedMessage = Extract<FromAttempt["message"], { kind: "ended" }>;

const atFirst: ExecutorCounts = {
  restarts: 0,
  jobsProcessed: 0,
  errors: 0,
  lastJobAtMs: null,
  heldModels: [],
  memoryBytes: null,
  readySinceMs: null,
  startSeconds: null,
};

export class Statistics {
  readonly #nowMs: () => number;
  readonly #steadyMs: () => number;
  #counts = atFirst;
  #spawnedAtSteadyMs = 0;

  /** @param steadyMs a clock that nobody sets, for what is a duration */
  constructor(nowMs: () => number = Date.now, steadyMs = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#steadyMs = steadyMs;
  }

  get counts(): ExecutorCounts {
    return this.#counts;
  }

  spawned(): void {
    this.#spawnedAtSteadyMs = this.#steadyMs();
  }

  ready(): void {
    const startSeconds = (this.#steadyMs() - this.#spawnedAtSteadyMs) / 1000;
    this.#set({ readySinceMs: this.#nowMs(), startSeconds });
  }

  /** The process has reported the end of an attempt. */
  reported({ heldModels, memoryBytes }: EndedMessage): void {
    const jobsProcessed = this.#counts.jobsProcessed + 1;
    this.#set({ heldModels, memoryBytes, jobsProcessed, lastJobAtMs: this.#nowMs() });
  }

  /** An attempt is over, reported or not. */
  ended({ kind }: AttemptEnd): void {
    if (kind === "failed" || kind === "crashed") this.#set({ errors: this.#counts.errors + 1 });
  }

  exited(wasWanted: boolean): void {
    const restarts = this.#counts.restarts + (wasWanted ? 0 : 1);
    this.#set({ heldModels: [], memoryBytes: null, readySinceMs: null, restarts });
  }

  #set(changed: Partial<ExecutorCounts>): void {
    this.#counts = { ...this.#counts, ...changed };
  }
}
