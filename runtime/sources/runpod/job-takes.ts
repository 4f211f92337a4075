import type { RunpodSourceOptions, Trouble } from "./options.ts";
import { Poller, type PollerOptions, type PollOutcome } from "./poller.ts";
import { type HttpAnswer, type RunpodJob, readTakeAnswer } from "./protocol/take-answer.ts";
import { besideTake, withQuery } from "./protocol/url-templates.ts";

export interface JobTakesOptions extends Pick<RunpodSourceOptions, "maxConcurrency"> {
  /** Expanded. */
  readonly takeUrl: string;
  /** The poller's own. */
  readonly polling: Omit<PollerOptions, "what" | "next" | "onAnswer">;
  /** How many jobs wait or run here. */
  heldJobs(): number;
  /** Whether jobs are this container's matter: what the platform is asked with. */
  hasJobs(): boolean;
  /** No more jobs are to come: the container stops, or is to be replaced. */
  isOver(): boolean;
  /** Whether the job has come to be here. */
  receive(job: RunpodJob): boolean;
  /** After all of an answer, of which at least one has come to be here. */
  onReceived(): void;
}

/** Takes jobs while the dispatcher waits for some and this container has room for them. */
export class JobTakes {
  readonly #options: JobTakesOptions;
  readonly #poller: Poller;
  #slots = 0;
  #isWaiting = false;

  constructor(options: JobTakesOptions) {
    this.#options = options;
    this.#poller = new Poller({
      ...options.polling,
      what: "the take of jobs",
      next: () => this.#next(),
      onAnswer: (answer) => this.#onAnswer(answer),
    });
  }

  get trouble(): Trouble | null {
    return this.#poller.trouble;
  }

  /** How many jobs the dispatcher had executors for when it took last. */
  set slots(slots: number) {
    this.#slots = slots;
  }

  /** Whether the dispatcher waits for jobs. */
  onWaiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    if (isWaiting) this.go();
  }

  /** There may be room now. */
  go(): void {
    this.#poller.go();
  }

  /** No job may come for now: ends the poll that is under way. Resolves when what was coming in is here. */
  async breakOff(): Promise<void> {
    await this.#poller.breakOff();
  }

  stop(): void {
    this.#poller.stop();
  }

  async stopped(): Promise<void> {
    await this.#poller.stopped();
  }

  /** The address of the next take; null when none is wanted. */
  #next(): string | null {
    const { maxConcurrency, takeUrl, heldJobs, hasJobs, isOver } = this.#options;
    if (!this.#isWaiting || isOver()) return null;
    const free = Math.min(maxConcurrency - heldJobs(), this.#slots);
    if (free <= 0) return null;
    const job_in_progress = hasJobs() ? "1" : "0";
    const batch = free > 1 ? besideTake(takeUrl, "job-take-batch") : null;
    return batch === null
      ? withQuery(takeUrl, { job_in_progress })
      : withQuery(batch, { batch_size: String(free), job_in_progress });
  }

  #onAnswer(given: HttpAnswer): PollOutcome {
    const answer = readTakeAnswer(given);
    if (answer.kind === "throttled") return { kind: "throttled" };
    if (answer.kind === "refused") return { kind: "refused", message: answer.message };
    if (answer.kind === "none") return { kind: "nothing" };
    const { polling, receive, onReceived } = this.#options;
    for (const why of answer.problems) polling.log?.error({ why }, "RunPod handed out what is no job");
    const received = answer.jobs.filter((job) => receive(job));
    // Nor is one that is known already worth another take at once.
    if (received.length === 0) return { kind: "nothing" };
    onReceived();
    return { kind: "received" };
  }
}
