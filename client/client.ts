import type { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { generate } from "#functions/generate.ts";
import { health } from "#functions/health.ts";
import type { Responses } from "#functions/http/route.ts";
import type { Accepted } from "#functions/jobs/accept.ts";
import type { JobView } from "#functions/jobs/job-view.ts";
import type { submission } from "#functions/jobs/submission.ts";
import { cancelJob } from "#functions/jobs-cancel.ts";
import { createJob } from "#functions/jobs-create.ts";
import { jobEvents } from "#functions/jobs-events.ts";
import { getJob } from "#functions/jobs-get.ts";
import { listJobs } from "#functions/jobs-list.ts";
import { retryJob } from "#functions/jobs-retry.ts";
import { deadLetters } from "#functions/queues-dead.ts";
import { listQueues } from "#functions/queues-list.ts";
import { redriveQueue } from "#functions/queues-redrive.ts";
import { workerInfo } from "#functions/worker-info.ts";
import { pauseWorker } from "#functions/worker-pause.ts";
import { workerResources } from "#functions/worker-resources.ts";
import { restartWorker } from "#functions/worker-restart.ts";
import { resumeWorker } from "#functions/worker-resume.ts";
import { workerStatus } from "#functions/worker-status.ts";
import { validateWorker } from "#functions/worker-validate.ts";
import { type JobEvent, readJobEvents } from "./event-reader.ts";
import { Connection, type ConnectionOptions } from "./http-call.ts";
import { pause } from "./pause.ts";

export type { Accepted, JobEvent, JobView };
export { CodedError };

/** What a route answers, whatever its status. */
type AnswerOf<Declared extends Responses> = z.output<Declared[keyof Declared]>;
/** What a route takes, before defaults are filled in. */
type Filter = z.input<NonNullable<typeof listJobs.query>>;
type Page = z.input<NonNullable<typeof deadLetters.query>>;

/** A job as it is handed in. */
export type NewJob = z.input<typeof submission>;

export interface GenerateOptions {
  /** How long the result is waited for: 0 to 600, 300 when it is not said. */
  readonly waitSeconds?: number;
  /** Aborting it cancels the job. */
  readonly signal?: AbortSignal;
}

export interface FollowOptions {
  readonly signal?: AbortSignal;
  /** Pause before a stream that broke is opened again. */
  readonly pauseMs?: number;
}

/** Streams in a row that may bring nothing before following is given up. */
const mostEmptyStreams = 5;

/**
 * A container's API, typed by the schemas that the container answers by:
 *
 * @example
 * const client = new OurvidzClient({ url: "https://worker.example", key });
 * const { job_id } = await client.enqueue({ type: "sdxl_image_fast", prompt: "a lighthouse at dawn" });
 * for await (const event of client.follow(job_id)) if (event.name === "progress") console.log(event.data.progress);
 *
 * Every method throws a CodedError with the code that the container answers.
 */
export class OurvidzClient {
  readonly #connection: Connection;

  constructor(options: ConnectionOptions) {
    this.#connection = new Connection(options);
  }

  health(): Promise<AnswerOf<typeof health.responses>> {
    return this.#connection.call(health);
  }

  enqueue(job: NewJob): Promise<Accepted> {
    return this.#connection.call(createJob, { body: job });
  }

  /** Runs a job and waits: the completed job, or what was accepted when the wait was over before. */
  generate(job: NewJob, { waitSeconds = 300, signal }: GenerateOptions = {}): Promise<JobView | Accepted> {
    return this.#connection.call(generate, {
      body: job,
      headers: { Prefer: `wait=${Math.round(waitSeconds)}` },
      timeoutMs: (waitSeconds + 30) * 1000,
      signal,
    });
  }

  jobs(filter: Filter = {}): Promise<AnswerOf<typeof listJobs.responses>> {
    const { status, type, user_id, cursor, limit } = filter;
    return this.#connection.call(listJobs, {
      query: { status, type, user_id, cursor, limit: limit === undefined ? undefined : String(limit) },
    });
  }

  job(id: string): Promise<JobView> {
    return this.#connection.call(getJob, { params: { id } });
  }

  cancel(id: string): Promise<AnswerOf<typeof cancelJob.responses>> {
    return this.#connection.call(cancelJob, { params: { id } });
  }

  retry(id: string): Promise<AnswerOf<typeof retryJob.responses>> {
    return this.#connection.call(retryJob, { params: { id } });
  }

  /**
   * What happens to a job, from its beginning to its final state, whose event is the last. A stream that breaks is
   * opened again after the last event that came; a reader sees each event once.
   */
  async *follow(id: string, { signal, pauseMs = 2000 }: FollowOptions = {}): AsyncGenerator<JobEvent> {
    let lastId: string | undefined;
    for (let empty = 0; empty < mostEmptyStreams; empty++) {
      if (empty > 0) await pause(pauseMs, signal);
      try {
        for await (const event of this.#events(id, lastId, signal)) {
          empty = 0;
          if (event.id !== "") lastId = event.id;
          yield event;
          if (event.name === "state" && event.data.job !== undefined) return;
        }
      } catch (error) {
        if (signal?.aborted || isFinal(error)) throw error;
      }
    }
    throw new CodedError("WORKER_UNREACHABLE", `The events of job ${id} break off again and again.`);
  }

  queues(): Promise<AnswerOf<typeof listQueues.responses>> {
    return this.#connection.call(listQueues);
  }

  deadLetters(queue: string, { limit, cursor }: Page = {}): Promise<AnswerOf<typeof deadLetters.responses>> {
    const query = { cursor, limit: limit === undefined ? undefined : String(limit) };
    return this.#connection.call(deadLetters, { params: { queue }, query });
  }

  redrive(queue: string): Promise<AnswerOf<typeof redriveQueue.responses>> {
    return this.#connection.call(redriveQueue, { params: { queue } });
  }

  status(): Promise<AnswerOf<typeof workerStatus.responses>> {
    return this.#connection.call(workerStatus);
  }

  resources(): Promise<AnswerOf<typeof workerResources.responses>> {
    return this.#connection.call(workerResources);
  }

  info(): Promise<AnswerOf<typeof workerInfo.responses>> {
    return this.#connection.call(workerInfo);
  }

  /** Tries everything; takes as long as that takes. */
  validate(): Promise<AnswerOf<typeof validateWorker.responses>> {
    return this.#connection.call(validateWorker, { timeoutMs: 300_000 });
  }

  restart(worker: string): Promise<AnswerOf<typeof restartWorker.responses>> {
    return this.#connection.call(restartWorker, { params: { worker } });
  }

  pause(): Promise<AnswerOf<typeof pauseWorker.responses>> {
    return this.#connection.call(pauseWorker);
  }

  resume(): Promise<AnswerOf<typeof resumeWorker.responses>> {
    return this.#connection.call(resumeWorker);
  }

  async *#events(id: string, lastId: string | undefined, signal: AbortSignal | undefined): AsyncGenerator<JobEvent> {
    const headers: Record<string, string> = lastId === undefined ? {} : { "Last-Event-ID": lastId };
    const response = await this.#connection.open(jobEvents, { params: { id }, headers, signal });
    if (response.body !== null) yield* readJobEvents(response.body);
  }
}

/** Whether asking again would bring the same. */
function isFinal(error: unknown): boolean {
  return error instanceof CodedError && error.status < 500;
}

/** Whether `generate` has brought the job itself. */
export function isJob(answer: JobView | Accepted): answer is JobView {
  return "attempts" in answer;
}
