import type { RunpodSourceOptions } from "./options.ts";

/** The jobs of the container that is to be replaced. */
export interface ComingJobs {
  /** RunPod's ids of those that are here. */
  held(): readonly string[];
  /** Ends the take that is under way; resolves when what was coming in is here, and what is not to run has failed at RunPod. */
  end(): Promise<void>;
}

export type RefreshOptions = Pick<RunpodSourceOptions, "refreshAfterJobs" | "log" | "requestStop">;

/**
 * When the platform is to replace this container, which the end of its last job carries (`stopPod`): any earlier, others that run
 * here would go with it.
 */
export class Refresh {
  readonly #options: RefreshOptions;
  readonly #jobs: ComingJobs;
  readonly #posting = new Set<Promise<unknown>>();
  #ended = 0;
  #isWanted = false;
  #isOver = false;

  constructor(options: RefreshOptions, jobs: ComingJobs) {
    this.#options = options;
    this.#jobs = jobs;
  }

  /** No more jobs are to come. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /**
   * Ends a job. Of a container that is to be replaced, one after the other: of two at a time none would be the last.
   * @param job RunPod's id, also of one that an earlier process has worked off: it is not among those that are here
   * @param job.isRequested by its result
   * @param end after which the job is here no more
   */
  async ending<Outcome>(
    job: { readonly runpodId: string; readonly isRequested: boolean },
    end: (stopPod: boolean) => Promise<Outcome>,
  ): Promise<Outcome> {
    const before = [...this.#posting];
    const { refreshAfterJobs } = this.#options;
    const isLast = refreshAfterJobs > 0 && this.#ended + before.length + 1 >= refreshAfterJobs;
    if (job.isRequested || isLast) this.#isWanted = true;
    const ended = this.#inTurn(before, () => end(this.#isWanted && this.#isAlone(job.runpodId)));
    this.#posting.add(ended);
    try {
      return await ended;
    } finally {
      this.#posting.delete(ended);
    }
  }

  /** A job is here no more. */
  onRoom(): void {
    const { log, requestStop } = this.#options;
    if (!this.#isWanted || this.#isOver || this.#jobs.held().length > 0) return;
    this.#isOver = true;
    log?.info({ jobs: this.#ended + this.#posting.size }, "RunPod was requested to replace this container");
    requestStop?.();
  }

  #isAlone(runpodId: string): boolean {
    return this.#jobs.held().every((id) => id === runpodId);
  }

  async #inTurn<Outcome>(before: readonly Promise<unknown>[], end: () => Promise<Outcome>): Promise<Outcome> {
    // What is still coming in is here by then, and its end the last one.
    if (this.#isWanted) await Promise.all([this.#jobs.end(), ...before.map((one) => one.catch(() => undefined))]);
    const outcome = await end();
    this.#ended++;
    return outcome;
  }
}
