import { setTimeout as pause } from "node:timers/promises";
import type { ErrorReport } from "#contract/errors.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { FailureFiles, KeptFailure } from "./failure-files.ts";
import type { JobChannel } from "./job-channel.ts";
import type { Posts } from "./posts.ts";

export interface FailurePostsOptions {
  readonly posts: Pick<Posts, "done" | "failure">;
  readonly log: Logger | undefined;
  /** Between two rounds of tries. */
  readonly pauseMs: number;
  /** Null where they last as long as this process. */
  readonly files: FailureFiles | null;
  /** They are others now. */
  onChange(): void;
}

/** How long the container waits for them before it stops, or asks to be replaced. */
const waitLimitMs = 5_000;

/**
 * Failures of jobs that have no attempt any more, or never had one. Nobody waits for these posts: that a job has ended is
 * recorded here before the platform has taken it. Each is tried for as long as the container lives, and by the next process
 * on its data folder.
 */
export class FailurePosts {
  readonly #options: FailurePostsOptions;
  readonly #closing = new AbortController();
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(options: FailurePostsOptions) {
    this.#options = options;
  }

  /** RunPod's ids of the jobs. */
  get ids(): readonly string[] {
    return [...this.#underWay.keys()];
  }

  /** What an earlier process has left. */
  async resume(): Promise<void> {
    for (const failure of (await this.#options.files?.all()) ?? []) {
      // Added meanwhile.
      if (!this.#underWay.has(failure.runpodId)) this.#begin(failure, null);
    }
  }

  /**
   * Resolves when it is on disk.
   * @param channel of the job; what it has on its way arrives first, and nothing more of it
   */
  async add(runpodId: string, error: ErrorReport, channel: JobChannel | null = null): Promise<void> {
    channel?.drop();
    const failure = { runpodId, error, isStream: channel?.hasStreamed ?? false };
    const kept = this.#keep(failure);
    this.#begin(failure, channel, kept);
    await kept;
  }

  /** Resolves when all are posted that are under way, or after seconds. */
  async posted(): Promise<void> {
    await within(waitLimitMs, Promise.all(this.#underWay.values()));
  }

  /** The same, without another round of tries. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.posted();
  }

  #begin(failure: KeptFailure, channel: JobChannel | null, kept?: Promise<void>): void {
    const { runpodId } = failure;
    const { onChange } = this.#options;
    const post = this.#post(failure, channel, kept).finally(() => {
      this.#underWay.delete(runpodId);
      onChange();
    });
    this.#underWay.set(runpodId, post);
    onChange();
  }

  async #post({ runpodId, error, isStream }: KeptFailure, channel: JobChannel | null, kept?: Promise<void>) {
    const { posts, log, pauseMs, files } = this.#options;
    const { signal } = this.#closing;
    await Promise.all([kept, channel?.finish()]);
    for (;;) {
      try {
        await posts.done(runpodId, { body: posts.failure(error), isFailure: true, isStream });
        break;
      } catch (cause) {
        log?.error({ error: cause, runpod_id: runpodId, code: error.code }, "a job that failed could not be reported");
        if (signal.aborted) return;
        await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
    await files?.forget(runpodId).catch((cause: unknown) => this.#onFileError(runpodId, cause));
  }

  /** Without its file it lasts as long as this process. */
  async #keep(failure: KeptFailure): Promise<void> {
    await this.#options.files?.keep(failure).catch((cause: unknown) => this.#onFileError(failure.runpodId, cause));
  }

  #onFileError(runpodId: string, error: unknown): void {
    this.#options.log?.warn({ error, runpod_id: runpodId }, "the file of a failure could not be written or removed");
  }
}
