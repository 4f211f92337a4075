import type { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import type { chat } from "#functions/api/chat.ts";
import type { deleteChatSession } from "#functions/api/chat-sessions-delete.ts";
import type { deleteChatSessions } from "#functions/api/chat-sessions-delete-all.ts";
import type { getChatSession } from "#functions/api/chat-sessions-get.ts";
import type { enhance } from "#functions/api/enhance.ts";
import type { listFailures } from "#functions/api/failures.ts";
import type { generate } from "#functions/api/generate.ts";
import type { health } from "#functions/api/health.ts";
import type { createInput } from "#functions/api/inputs-create.ts";
import type { deleteInput } from "#functions/api/inputs-delete.ts";
import type { getInput } from "#functions/api/inputs-get.ts";
import type { getAttemptLog } from "#functions/api/jobs-attempt-log.ts";
import type { cancelJob } from "#functions/api/jobs-cancel.ts";
import type { cancelJobs } from "#functions/api/jobs-cancel-many.ts";
import type { changeJob } from "#functions/api/jobs-change.ts";
import type { createJob } from "#functions/api/jobs-create.ts";
import type { discardJob } from "#functions/api/jobs-discard.ts";
import type { discardJobs } from "#functions/api/jobs-discard-many.ts";
import type { getJob } from "#functions/api/jobs-get.ts";
import type { listJobs } from "#functions/api/jobs-list.ts";
import type { retryJob } from "#functions/api/jobs-retry.ts";
import type { giveUpReport } from "#functions/api/outbox-give-up.ts";
import type { listOutbox } from "#functions/api/outbox-list.ts";
import type { tryOutbox } from "#functions/api/outbox-try.ts";
import type { deadLetters } from "#functions/api/queues-dead.ts";
import type { listQueues } from "#functions/api/queues-list.ts";
import type { pauseQueue } from "#functions/api/queues-pause.ts";
import type { redriveQueue } from "#functions/api/queues-redrive.ts";
import type { resumeQueue } from "#functions/api/queues-resume.ts";
import type { waitingJobs } from "#functions/api/queues-waiting.ts";
import type { JobView } from "#functions/api/schemas/job-view.ts";
import type { Accepted } from "#functions/api/schemas/submission.ts";
import type { testCompel } from "#functions/api/test-compel.ts";
import type { discardUndecodable } from "#functions/api/undecodable-discard.ts";
import type { listUndecodable } from "#functions/api/undecodable-list.ts";
import type { workerInfo } from "#functions/api/worker-info.ts";
import type { pauseWorker } from "#functions/api/worker-pause.ts";
import type { workerResources } from "#functions/api/worker-resources.ts";
import type { restartWorker } from "#functions/api/worker-restart.ts";
import type { resumeWorker } from "#functions/api/worker-resume.ts";
import type { workerStatus } from "#functions/api/worker-status.ts";
import type { validateWorker } from "#functions/api/worker-validate.ts";
import { streamChat } from "./chat-stream.ts";
import type { ChatEvent, JobEvent } from "./event-reader.ts";
import { followJob } from "./follow-job.ts";
import { given } from "./given.ts";
import { type AnswerOf, Connection, type ConnectionOptions } from "./http-call.ts";
import type {
  CancelFilter,
  DiscardFilter,
  FailureFilter,
  Filter,
  FollowOptions,
  GenerateOptions,
  NewChat,
  NewEnhancement,
  NewJob,
  Owner,
  Page,
  UndecodableFilter,
  UploadOptions,
} from "./options.ts";
import type { RedriveOptions } from "./redrive-options.ts";

export type {
  FollowOptions,
  GenerateOptions,
  NewChat,
  NewEnhancement,
  NewJob,
  Owner,
  UploadOptions,
} from "./options.ts";
export type { Accepted, ChatEvent, ConnectionOptions, JobEvent, JobView, RedriveOptions };
export { CodedError };

const uploadTimeoutMs = 3_600_000;
/** Of waiting and running, as a container bounds them by itself. */
const textTimeoutMs = 270_000;

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

  health(): Promise<AnswerOf<typeof health>> {
    return this.#connection.call<typeof health>("GET", "/health");
  }

  enqueue(job: NewJob): Promise<Accepted> {
    return this.#connection.call<typeof createJob>("POST", "/jobs", { body: job });
  }

  /** Runs a job and waits: the completed job, or what was accepted when the wait was over before. */
  generate(
    job: NewJob,
    { waitSeconds = 300, signal, inline }: GenerateOptions = {},
  ): Promise<AnswerOf<typeof generate>> {
    return this.#connection.call<typeof generate>("POST", "/generate", {
      body: job,
      query: { inline },
      headers: { Prefer: `wait=${Math.round(waitSeconds)}` },
      timeoutMs: (waitSeconds + 30) * 1000,
      signal,
    });
  }

  /** Asks the language model, without the queue. */
  chat(request: NewChat, { signal }: Pick<GenerateOptions, "signal"> = {}): Promise<AnswerOf<typeof chat>> {
    return this.#connection.call<typeof chat>("POST", "/chat", { body: request, timeoutMs: textTimeoutMs, signal });
  }

  /** What is remembered of a conversation of `metadata.session_id`: NOT_FOUND when it is nothing. */
  readSession(id: string, { userId: user_id }: Owner = {}): Promise<AnswerOf<typeof getChatSession>> {
    const path = { params: { id }, query: { user_id } };
    return this.#connection.call<typeof getChatSession>("GET", "/chat/sessions/:id", path);
  }

  forgetSession(id: string, { userId: user_id }: Owner = {}): Promise<AnswerOf<typeof deleteChatSession>> {
    const path = { params: { id }, query: { user_id } };
    return this.#connection.call<typeof deleteChatSession>("DELETE", "/chat/sessions/:id", path);
  }

  /** Forgets all conversations of a user. */
  forgetSessions({ userId: user_id }: Owner = {}): Promise<AnswerOf<typeof deleteChatSessions>> {
    return this.#connection.call<typeof deleteChatSessions>("DELETE", "/chat/sessions", { query: { user_id } });
  }

  /** As `chat`, while it is made: pieces of the text, and at the end the whole answer. */
  chatStream(request: NewChat, { signal }: Pick<GenerateOptions, "signal"> = {}): AsyncGenerator<ChatEvent, undefined> {
    return streamChat(this.#connection, request, signal);
  }

  /** Makes a fuller prompt: the answer's `enhanced_prompt` is the given one when nothing came of it. */
  enhance(
    request: NewEnhancement,
    { signal }: Pick<GenerateOptions, "signal"> = {},
  ): Promise<AnswerOf<typeof enhance>> {
    return this.#connection.call<typeof enhance>("POST", "/enhance", {
      body: request,
      timeoutMs: textTimeoutMs,
      signal,
    });
  }

  /**
   * Uploads a picture, a video or a LoRA file, for jobs of its user to name:
   *
   * @example
   * const { input } = await client.uploadInput(file, { userId });
   * await client.enqueue({ type: "sdxl_image_fast", user_id: userId, prompt, metadata: { reference_image_url: input } });
   */
  uploadInput(file: Blob, options: UploadOptions = {}): Promise<AnswerOf<typeof createInput>> {
    const { userId: user_id, signal, timeoutMs = uploadTimeoutMs } = options;
    return this.#connection.call<typeof createInput>("POST", "/inputs", {
      file,
      query: { user_id },
      signal,
      timeoutMs,
    });
  }

  /** An uploaded file; with `userId`, only that user's. */
  input(id: string, { userId: user_id }: Pick<UploadOptions, "userId"> = {}): Promise<AnswerOf<typeof getInput>> {
    return this.#connection.call<typeof getInput>("GET", "/inputs/:id", { params: { id }, query: { user_id } });
  }

  deleteInput(id: string, { userId: user_id }: Pick<UploadOptions, "userId"> = {}) {
    return this.#connection.call<typeof deleteInput>("DELETE", "/inputs/:id", { params: { id }, query: { user_id } });
  }

  jobs(filter: Filter = {}): Promise<AnswerOf<typeof listJobs>> {
    const { status, type, user_id, cursor, limit, source } = filter;
    return this.#connection.call<typeof listJobs>("GET", "/jobs", {
      query: { status, type, user_id, cursor, source, limit: limit === undefined ? undefined : String(limit) },
    });
  }

  job(id: string, { inline }: Pick<GenerateOptions, "inline"> = {}): Promise<JobView> {
    return this.#connection.call<typeof getJob>("GET", "/jobs/:id", { params: { id }, query: { inline } });
  }

  /** The last lines that an attempt has printed; they are with the container that ran it (NOT_FOUND elsewhere). */
  attemptLog(id: string, attempt: number): Promise<AnswerOf<typeof getAttemptLog>> {
    return this.#connection.call<typeof getAttemptLog>("GET", "/jobs/:id/attempts/:attempt/log", {
      params: { id, attempt: String(attempt) },
    });
  }

  cancel(id: string): Promise<AnswerOf<typeof cancelJob>> {
    return this.#connection.call<typeof cancelJob>("DELETE", "/jobs/:id", { params: { id } });
  }

  /** Gives a waiting job another priority, -100 to 100: higher goes first. */
  reprioritize(id: string, priority: number): Promise<AnswerOf<typeof changeJob>> {
    return this.#connection.call<typeof changeJob>("PATCH", "/jobs/:id", { params: { id }, body: { priority } });
  }

  /** A job that failed for good is refused (JOB_NOT_RETRYABLE) unless `force` is given. */
  retry(id: string, { force }: { readonly force?: boolean } = {}): Promise<AnswerOf<typeof retryJob>> {
    const query = { force: force ? "true" : undefined };
    return this.#connection.call<typeof retryJob>("POST", "/jobs/:id/retry", { params: { id }, query });
  }

  /** Forgets a job that has ended, with `files` its files too. */
  discard(id: string, { files }: { readonly files?: boolean } = {}): Promise<AnswerOf<typeof discardJob>> {
    const query = { files: files ? "true" : undefined };
    return this.#connection.call<typeof discardJob>("POST", "/jobs/:id/discard", { params: { id }, query });
  }

  /**
   * One part of a change of all jobs that a filter matches; the next one begins at its cursor:
   *
   * @example
   * let cursor: string | null = null;
   * do ({ cursor } = await client.discardJobs({ status: "failed", cursor: cursor ?? undefined })); while (cursor !== null);
   */
  discardJobs(filter: DiscardFilter): Promise<AnswerOf<typeof discardJobs>> {
    return this.#connection.call<typeof discardJobs>("POST", "/jobs/discard", { body: given(filter) });
  }

  /** As `discardJobs`, of jobs that wait or run. */
  cancelJobs(filter: CancelFilter): Promise<AnswerOf<typeof cancelJobs>> {
    return this.#connection.call<typeof cancelJobs>("POST", "/jobs/cancel", { body: given(filter) });
  }

  /** Failed jobs by queue, error code and type. */
  failures({ queue, source }: FailureFilter = {}): Promise<AnswerOf<typeof listFailures>> {
    return this.#connection.call<typeof listFailures>("GET", "/failures", { query: { queue, source } });
  }

  /**
   * What happens to a job, from its beginning to its final state, whose event is the last. A stream that breaks is
   * opened again after the last event that came; a reader sees each event once.
   */
  follow(id: string, options: FollowOptions = {}): AsyncGenerator<JobEvent> {
    return followJob(this.#connection, id, options);
  }

  queues(): Promise<AnswerOf<typeof listQueues>> {
    return this.#connection.call<typeof listQueues>("GET", "/queues");
  }

  deadLetters(queue: string, { limit, cursor, source }: Page = {}): Promise<AnswerOf<typeof deadLetters>> {
    const query = { cursor, source, limit: limit === undefined ? undefined : String(limit) };
    return this.#connection.call<typeof deadLetters>("GET", "/queues/:queue/dead", { params: { queue }, query });
  }

  /** One part, as of `discardJobs`. Jobs that would fail again are left, and counted in `left`. */
  redrive(queue: string, options: RedriveOptions = {}): Promise<AnswerOf<typeof redriveQueue>> {
    const { code, type, source, force, dryRun, limit, cursor } = options;
    const flags = { force: force ? "true" : undefined, dry_run: dryRun ? "true" : undefined };
    const query = { code, type, source, cursor, limit, ...flags };
    return this.#connection.call<typeof redriveQueue>("POST", "/queues/:queue/redrive", { params: { queue }, query });
  }

  /** The jobs of a queue that are due, in the order in which they go. */
  waiting(
    queue: string,
    { limit, source }: { readonly limit?: number; readonly source?: string } = {},
  ): Promise<AnswerOf<typeof waitingJobs>> {
    const request = { params: { queue }, query: { limit, source } };
    return this.#connection.call<typeof waitingJobs>("GET", "/queues/:queue/waiting", request);
  }

  /** No container takes jobs of this queue until it is resumed, whatever restarts meanwhile. */
  pauseQueue(queue: string, { source }: Pick<Page, "source"> = {}): Promise<AnswerOf<typeof pauseQueue>> {
    return this.#connection.call<typeof pauseQueue>("POST", "/queues/:queue/pause", {
      params: { queue },
      query: { source },
    });
  }

  resumeQueue(queue: string, { source }: Pick<Page, "source"> = {}): Promise<AnswerOf<typeof resumeQueue>> {
    return this.#connection.call<typeof resumeQueue>("POST", "/queues/:queue/resume", {
      params: { queue },
      query: { source },
    });
  }

  /** Elements of queues in which there is no job, the newest first. */
  undecodable({ queue, limit }: UndecodableFilter = {}): Promise<AnswerOf<typeof listUndecodable>> {
    return this.#connection.call<typeof listUndecodable>("GET", "/undecodable", {
      query: { queue, limit: limit === undefined ? undefined : String(limit) },
    });
  }

  /** Forgets one such element of a queue, or all; `more` when the time of one request was not enough. */
  discardUndecodable(
    queue: string,
    which: { readonly id: string } | { readonly all: true },
  ): Promise<AnswerOf<typeof discardUndecodable>> {
    const query = "id" in which ? { id: which.id } : ({ all: "true" } as const);
    const request = { params: { queue }, query };
    return this.#connection.call<typeof discardUndecodable>("POST", "/queues/:queue/undecodable/discard", request);
  }

  /** Finished jobs whose results have not reached the app yet, and why. */
  outbox(): Promise<AnswerOf<typeof listOutbox>> {
    return this.#connection.call<typeof listOutbox>("GET", "/outbox");
  }

  /** Tries now to deliver them. */
  tryOutbox(): Promise<AnswerOf<typeof tryOutbox>> {
    return this.#connection.call<typeof tryOutbox>("POST", "/outbox/try");
  }

  /** Has the end of a job reported no further: the app will not hear of it. */
  giveUpReport(jobId: string): Promise<AnswerOf<typeof giveUpReport>> {
    return this.#connection.call<typeof giveUpReport>("POST", "/outbox/give-up", { body: { job_id: jobId } });
  }

  status(): Promise<AnswerOf<typeof workerStatus>> {
    return this.#connection.call<typeof workerStatus>("GET", "/worker/status");
  }

  resources(): Promise<AnswerOf<typeof workerResources>> {
    return this.#connection.call<typeof workerResources>("GET", "/worker/resources");
  }

  /** What a model makes of a prompt: weights, tokens, chunks. Draws nothing. */
  readPrompt(
    prompt: z.input<NonNullable<typeof testCompel.body>>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<AnswerOf<typeof testCompel>> {
    return this.#connection.call<typeof testCompel>("POST", "/test-compel", { body: prompt, ...options });
  }

  info(): Promise<AnswerOf<typeof workerInfo>> {
    return this.#connection.call<typeof workerInfo>("GET", "/worker/info");
  }

  /** Tries everything; takes as long as that takes. */
  validate(): Promise<AnswerOf<typeof validateWorker>> {
    return this.#connection.call<typeof validateWorker>("POST", "/worker/validate", { timeoutMs: 300_000 });
  }

  restart(worker: string): Promise<AnswerOf<typeof restartWorker>> {
    return this.#connection.call<typeof restartWorker>("POST", "/worker/restart/:worker", { params: { worker } });
  }

  pause(): Promise<AnswerOf<typeof pauseWorker>> {
    return this.#connection.call<typeof pauseWorker>("POST", "/worker/pause");
  }

  resume(): Promise<AnswerOf<typeof resumeWorker>> {
    return this.#connection.call<typeof resumeWorker>("POST", "/worker/resume");
  }

  /** The absolute address of a file: a container without a public address of its own answers paths, such as `/files/…`. */
  urlOf(address: string): string;
  urlOf(address: string | null): string | null;
  urlOf(address: string | null): string | null {
    return address === null ? null : this.#connection.resolve(address);
  }
}

/** Whether `generate` has brought the job itself. */
export function isJob<Answer extends JobView | Accepted>(answer: Answer): answer is Extract<Answer, JobView> {
  return "attempts" in answer;
}
