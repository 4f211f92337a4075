import type { ErrorReport } from "#contract/errors.ts";
import { stoppedError, type UnreportedEnd } from "../job-source.ts";
import type { Changes } from "./changes.ts";
import type { FailurePosts } from "./failure-posts.ts";
import type { HeldJob, HeldJobs } from "./held-jobs.ts";
import type { UnreportedEnds } from "./unreported-ends.ts";

export interface WaitingEndsOptions {
  readonly held: Pick<HeldJobs, "end">;
  readonly failures: Pick<FailurePosts, "add">;
  readonly unreported: UnreportedEnds;
  readonly changes: Pick<Changes, "ends">;
  /** A job is here no more. */
  onRoom(): void;
}

/** How jobs end that wait here, without a call of an executor: the next take answers these ends. */
export class WaitingEnds {
  readonly #options: WaitingEndsOptions;

  constructor(options: WaitingEndsOptions) {
    this.#options = options;
  }

  /** The platform has ended it: nothing is posted. */
  cancel(held: HeldJob): void {
    this.#add(this.#options.held.end(held, "cancelled"));
  }

  /** This container will not run it any more. */
  giveUp(held: HeldJob, error: ErrorReport = stoppedError): void {
    void this.#options.failures.add(held.runpodId, error, held.channel);
    this.#add(this.#options.held.end(held, "failed", error));
  }

  #add(end: UnreportedEnd): void {
    const { unreported, changes, onRoom } = this.#options;
    unreported.add(end);
    changes.ends.notify();
    onRoom();
  }
}
