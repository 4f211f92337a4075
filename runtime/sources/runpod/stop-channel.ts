import type { Changes } from "./changes.ts";
import type { HeldJobs } from "./held-jobs.ts";
import { Poller, type PollerOptions, type PollOutcome } from "./poller.ts";
import { type HttpAnswer, readStopAnswer } from "./protocol/take-answer.ts";
import { besideTake } from "./protocol/url-templates.ts";
import type { WaitingEnds } from "./waiting-ends.ts";

export interface StopChannelOptions {
  /** Expanded. */
  readonly takeUrl: string;
  /** The poller's own. */
  readonly polling: Omit<PollerOptions, "what" | "next" | "onAnswer">;
  readonly held: Pick<HeldJobs, "size" | "get">;
  readonly ends: Pick<WaitingEnds, "cancel">;
  readonly changes: Pick<Changes, "leases">;
}

/** Hears, while there are jobs here, which of them the platform has stopped. */
export class StopChannel {
  readonly #options: StopChannelOptions;
  readonly #poller: Poller;

  constructor(options: StopChannelOptions) {
    this.#options = options;
    this.#poller = new Poller({
      ...options.polling,
      what: "the channel of stops",
      next: () => (options.held.size === 0 ? null : besideTake(options.takeUrl, "job-stop")),
      onAnswer: (answer) => this.#onAnswer(answer),
    });
  }

  /** There may be jobs now. */
  go(): void {
    this.#poller.go();
  }

  stop(): void {
    this.#poller.stop();
  }

  async stopped(): Promise<void> {
    await this.#poller.stopped();
  }

  #onAnswer(answer: HttpAnswer): PollOutcome {
    if (answer.status === 429) return { kind: "throttled" };
    if (answer.status >= 400) return { kind: "refused", message: `it answers ${answer.status}` };
    for (const id of readStopAnswer(answer)) this.#stop(id);
    return { kind: "nothing" };
  }

  #stop(runpodId: string): void {
    const { held: jobs, polling, ends, changes } = this.#options;
    const held = jobs.get(runpodId);
    if (held === undefined) return;
    const fields = { runpod_id: runpodId, job_id: held.job.id };
    if (held.isStopped) {
      // The first one was meant for what is here, this one for what was handed out anew.
      if (held.again !== null) polling.log?.info(fields, "RunPod has stopped the job that it handed out anew");
      held.again = null;
      return;
    }
    polling.log?.info(fields, "RunPod has stopped the job");
    held.isStopped = true;
    held.channel?.drop();
    if (held.token === null) ends.cancel(held);
    else changes.leases.notify();
  }
}
