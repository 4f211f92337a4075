import { type ErrorReport, RetryableError } from "#contract/errors.ts";
import { workerVersion } from "#runtime/container/version.ts";
import type { RunpodApi } from "./api.ts";
import { JobChannel } from "./job-channel.ts";
import type { RunpodSourceOptions, Timings } from "./options.ts";
import { chunkBody, errorBody, type Poster, progressBody } from "./protocol/bodies.ts";
import { expandTemplate, withQuery } from "./protocol/url-templates.ts";

export interface PostsOptions
  extends Pick<RunpodSourceOptions, "outputUrl" | "streamUrl" | "workerId" | "gpuType" | "hostname" | "log"> {
  readonly api: RunpodApi;
  readonly timings: Timings;
  readonly monotonicMs: () => number;
}

export interface Ending {
  readonly body: string;
  readonly isFailure: boolean;
  /** Whether chunks were posted before. */
  readonly isStream: boolean;
}

/** What is posted of jobs: on the way, and at their end. */
export class Posts {
  readonly #options: PostsOptions;
  readonly #poster: Poster;

  constructor(options: PostsOptions) {
    this.#options = options;
    this.#poster = { hostname: options.hostname, workerId: options.workerId, version: workerVersion };
  }

  failure(error: ErrorReport, stopPod = false): string {
    return errorBody(error, this.#poster, stopPod);
  }

  channelOf(runpodId: string): JobChannel {
    const { streamUrl, outputUrl, api, timings, monotonicMs } = this.#options;
    return new JobChannel({
      postProgress: async (progress) => {
        await api.post(this.#addressOf(outputUrl, runpodId, false), progressBody(progress), {
          jobId: runpodId,
          tries: 1,
          limitMs: timings.progressLimitMs,
        });
      },
      postChunk: streamUrl === null ? undefined : (text) => this.#chunk(streamUrl, runpodId, text),
      progressEveryMs: timings.progressEveryMs,
      monotonicMs,
    });
  }

  /**
   * Posts the end of a job. What the platform refuses as too large is posted as a failure instead.
   * @returns false when it knows the job no more
   * @throws RetryableError QUEUE_UNREACHABLE when it has to be tried again
   */
  async done(runpodId: string, { body, isFailure, isStream }: Ending): Promise<boolean> {
    const { api, log, outputUrl } = this.#options;
    const url = this.#addressOf(outputUrl, runpodId, isStream);
    const status = await api.post(url, body, { jobId: runpodId });
    if (status < 300) return true;
    if (status === 404) {
      log?.error(
        { runpod_id: runpodId },
        "RunPod knows the job no more: its time there was over before it was through",
      );
      return false;
    }
    const bytes = Buffer.byteLength(body);
    const message = `RunPod refused the result of ${bytes.toLocaleString("en-US")} bytes with ${status}.`;
    log?.error({ runpod_id: runpodId, status, bytes }, "RunPod refuses what the job has become");
    // A redirect too: what carries the key goes nowhere else.
    if (status !== 400 && status !== 413) throw new RetryableError(message, { code: "QUEUE_UNREACHABLE" });
    // Another one would be refused as this one was.
    if (isFailure) return true;
    await api.post(url, this.failure({ code: "RESULT_TOO_LARGE", message }), { jobId: runpodId });
    return true;
  }

  async #chunk(template: string, runpodId: string, text: string): Promise<void> {
    const { api, log } = this.#options;
    try {
      const status = await api.post(this.#addressOf(template, runpodId, false), chunkBody(text), { jobId: runpodId });
      if (status >= 300) throw new Error(`it answers ${status}`);
    } catch (error) {
      log?.error({ error, runpod_id: runpodId }, "a chunk was not taken: the whole text comes with the result");
      throw error;
    }
  }

  #addressOf(template: string, jobId: string, isStream: boolean): string {
    const { workerId, gpuType } = this.#options;
    const url = expandTemplate(template, { workerId, jobId, ...(gpuType === undefined ? {} : { gpuType }) });
    return withQuery(url, { isStream: String(isStream) });
  }
}
