import { type LeaseKey, type SettleOutcome, stoppedError } from "../job-source.ts";
import type { EarlierJobs } from "./earlier-jobs.ts";
import type { FailurePosts } from "./failure-posts.ts";
import { type HeldJobs, runpodIdOf } from "./held-jobs.ts";
import type { Ending, Posts } from "./posts.ts";
import type { PresentJobs } from "./present-jobs.ts";
import type { UnreportedEnds } from "./unreported-ends.ts";

export interface SettlingOptions {
  readonly held: HeldJobs;
  readonly posts: Pick<Posts, "channelOf" | "done">;
  readonly failures: Pick<FailurePosts, "add">;
  readonly earlier: Pick<EarlierJobs, "ended">;
  readonly present: Pick<PresentJobs, "changed">;
  readonly unreported: Pick<UnreportedEnds, "add">;
  /** The container is stopping. */
  readonly stopping: AbortSignal;
  /** A job waits here again. */
  onWaits(): void;
  /** A job is here no more. */
  onRoom(): void;
}

/** What becomes of a lease at the call of its executor; the same call again is answered as it was, another one with "lost". */
export class Settling {
  readonly #options: SettlingOptions;

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** What the call with this lease is answered without a deed; null when it is to be done. */
  before(lease: LeaseKey, call: string): SettleOutcome | null {
    const { held } = this.#options;
    const before = held.settledBefore(lease, call);
    if (before !== null) return before;
    const other = held.get(runpodIdOf(lease));
    return other !== undefined && other.token !== lease.token ? "lost" : null;
  }

  /** Posts its end, after all that is on its way of it. */
  async post(
    lease: LeaseKey,
    call: string,
    ending: Pick<Ending, "body" | "isFailure">,
    became: SettleOutcome,
  ): Promise<SettleOutcome> {
    const { posts } = this.#options;
    const held = this.#options.held.ofToken(lease);
    // The platform has ended it: whatever it became here, nobody waits for it there.
    if (held?.isStopped) return this.settled(lease, call, became);
    // Closed where there was none: nothing of the job begins beside its end.
    if (held !== undefined) held.channel ??= posts.channelOf(held.runpodId);
    await held?.channel?.finish();
    const isStream = held?.channel?.hasStreamed ?? false;
    const isKnown = await posts.done(runpodIdOf(lease), { ...ending, isStream });
    return this.settled(lease, call, isKnown ? became : "unknown");
  }

  /** The job is here no more. */
  settled(lease: LeaseKey, call: string, outcome: SettleOutcome): SettleOutcome {
    const { held: jobs, earlier, present, onRoom } = this.#options;
    const held = jobs.ofToken(lease);
    if (held !== undefined) jobs.remove(held);
    if (earlier.ended(runpodIdOf(lease))) present.changed();
    onRoom();
    return jobs.remember(lease, call, outcome);
  }

  /** Back to those that wait here. */
  async requeue(lease: LeaseKey, call: string, delaySeconds: number): Promise<SettleOutcome> {
    const { held: jobs, failures, unreported, stopping, onWaits, onRoom } = this.#options;
    const before = jobs.settledBefore(lease, call);
    if (before !== null) return before;
    const held = jobs.ofToken(lease);
    if (held === undefined) return "lost";
    if (held.isStopped) {
      unreported.add(jobs.end(held, "cancelled"), { isAnswered: true });
      onRoom();
      return jobs.remember(lease, call, "cancelled");
    }
    if (stopping.aborted) {
      // Its end is recorded without a wait for the platform, which the container may not live to see.
      await failures.add(held.runpodId, stoppedError, held.channel);
      return this.settled(lease, call, "failed");
    }
    jobs.putBack(held, delaySeconds);
    onWaits();
    return jobs.remember(lease, call, "requeued");
  }
}
