import { setTimeout as pause } from "node:timers/promises";
import type { ErrorReport } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobChannel } from "./job-channel.ts";
import type { Posts } from "./posts.ts";

export interface FailurePostsOptions {
  readonly posts: Pick<Posts, "done" | "failure">;
  readonly log: Logger | undefined;
  /** Between two rounds of tries. */
  readonly pauseMs: number;
}

/**
 * Failures of jobs that have no attempt any more, or never had one. Nobody waits for these posts: that a job has ended is
 * recorded here before the platform has heard of it. Each is tried for as long as the container lives.
 */
export class FailurePosts {
  readonly #options: FailurePostsOptions;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: FailurePostsOptions) {
    this.#options = options;
  }

  /** @param channel of an attempt that has just ended; what it has on its way arrives first, and nothing more of it */
  add(runpodId: string, error: ErrorReport, channel: JobChannel | null = null): void {
    const post = this.#post(runpodId, error, channel).finally(() => this.#underWay.delete(post));
    this.#underWay.add(post);
  }

  /** Resolves when all are posted, or were tried once more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#underWay);
  }

  async #post(runpodId: string, error: ErrorReport, channel: JobChannel | null): Promise<void> {
    const { posts, log, pauseMs } = this.#options;
    const { signal } = this.#closing;
    channel?.drop();
    await channel?.finish();
    for (let isPosted = false; !isPosted; ) {
      const isLast = signal.aborted;
      try {
        await posts.done(runpodId, posts.failure(error), channel?.hasStreamed ?? false);
        isPosted = true;
      } catch (cause) {
        log?.error({ error: cause, runpod_id: runpodId, code: error.code }, "a job that failed could not be reported");
        if (isLast) return;
        await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}
