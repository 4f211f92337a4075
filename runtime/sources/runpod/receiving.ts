import { toErrorReport } from "#contract/errors.ts";
import { stoppedError } from "../job-source.ts";
import type { FailurePosts } from "./failure-posts.ts";
import type { HeldJobs } from "./held-jobs.ts";
import { readInput } from "./job-input.ts";
import type { RunpodSourceOptions } from "./options.ts";
import type { PresentJobs } from "./present-jobs.ts";
import type { RunpodJob } from "./protocol/take-answer.ts";
import { twinRefusal, typeRefusal } from "./refusals.ts";
import type { WaitingEnds } from "./waiting-ends.ts";

export interface ReceivingOptions {
  readonly source: RunpodSourceOptions;
  readonly held: HeldJobs;
  readonly present: PresentJobs;
  readonly failures: Pick<FailurePosts, "add">;
  readonly ends: WaitingEnds;
  /** The container is stopping. */
  readonly stopping: AbortSignal;
}

/** What becomes of a job that a take has brought: it waits here from then on, is refused, or was here already. */
export class Receiving {
  readonly #options: ReceivingOptions;

  constructor(options: ReceivingOptions) {
    this.#options = options;
  }

  /** Whether it has come to be here. Never throws: the others of its batch are nobody else's either. */
  receive(job: Pick<RunpodJob, "id" | "input">): boolean {
    try {
      return this.#received(job);
    } catch (error) {
      return this.#broke(job.id, error);
    }
  }

  #received({ id, input }: Pick<RunpodJob, "id" | "input">): boolean {
    const { source, held, present, failures } = this.#options;
    const { defaultType, handlerOf, log } = source;
    const here = held.get(id);
    if (here !== undefined) here.again = { id, input };
    if (present.ids.includes(id)) {
      const message = "RunPod handed out a job that is here already, or whose end waits here for being posted";
      log?.warn({ runpod_id: id, is_stopped: here?.isStopped ?? false }, message);
      return false;
    }
    const { job, rejection } = readInput(id, input, { defaultType, handlerOf });
    const fields = { runpod_id: id, job_id: job.id, type: job.type };
    if (held.all.some((other) => other.job.id === job.id)) {
      log?.warn(fields, "RunPod handed out a job whose id another one has that is here: refused");
      void failures.add(id, twinRefusal(job.id));
      return false;
    }
    held.add(id, job, rejection ?? typeRefusal(job.type, source));
    log?.info(fields, "job received from RunPod");
    this.#giveUpAtStop(id);
    return true;
  }

  /** It fails at RunPod, unless it was here by then: that it would come to an end twice. */
  #broke(id: string, error: unknown): boolean {
    const { source, held, failures } = this.#options;
    source.log?.error(
      { error, runpod_id: id },
      "a job that RunPod handed out could not be read: the fault is this container's",
    );
    if (held.get(id) !== undefined) return true;
    void failures.add(id, toErrorReport(error));
    return false;
  }

  /** It came while the container was stopping. */
  #giveUpAtStop(id: string): void {
    const { held, ends, stopping } = this.#options;
    const received = held.get(id);
    if (stopping.aborted && received?.token === null) ends.giveUp(received, received.rejection ?? stoppedError);
  }
}
