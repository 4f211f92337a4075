import { setTimeout as pause } from "node:timers/promises";
import { RetryableError } from "#contract/errors.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { type BoundedResponse, boundedRequest } from "#runtime/lib/bounded-request.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { HttpAnswer } from "./protocol/take-answer.ts";

/*
 * The requests of a container. Headers are those of the official worker: what is posted is JSON text under the content type of
 * a form, which is what the platform is known to take.
 */
export const userAgent = `ourvidz-worker/${workerVersion}`;

export interface ApiOptions {
  readonly apiKey: string | undefined;
  readonly log: Logger | undefined;
  /** Pauses between the tries of what must arrive. */
  readonly postPausesMs: readonly number[];
}

export interface PostOptions {
  readonly jobId: string;
  /** 1 for what is best effort. */
  readonly tries?: number;
  /** Of one try. */
  readonly limitMs?: number;
}

/** Jobs with their inputs: ten megabytes, and a batch of them. */
const maxAnswerBytes = 128 * 1024 * 1024;
const postLimitMs = 60_000;

export class RunpodApi {
  readonly #options: ApiOptions;
  readonly #closing = new AbortController();

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** @throws the network's error, or the signal's reason */
  async get(
    url: string,
    { signal, limitMs, onAnswer }: { signal: AbortSignal; limitMs: number; onAnswer?: () => void },
  ): Promise<HttpAnswer> {
    const answer = await boundedRequest({
      method: "GET",
      url,
      headers: { ...this.#authorization(), "content-type": "application/json", "user-agent": userAgent },
      signal,
      idleMs: limitMs,
      limitMs,
      maxAnswerBytes,
      ...(onAnswer === undefined ? {} : { onAnswer }),
    });
    return { status: answer.status, contentType: answer.headers["content-type"] ?? "", text: answer.text };
  }

  /**
   * Posts until it is answered with something final: what does not arrive, 429 and 5xx are tried again.
   * @returns the status of the answer
   * @throws RetryableError QUEUE_UNREACHABLE when no try was
   */
  async post(
    url: string,
    body: string,
    { jobId, tries = this.#options.postPausesMs.length + 1, limitMs = postLimitMs }: PostOptions,
  ): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#post(url, body, jobId, limitMs);
      const why = typeof answer === "string" ? answer : isTransient(answer) ? `it answers ${answer.status}` : null;
      if (why === null && typeof answer !== "string") return answer.status;
      if (attempt >= tries || this.#closing.signal.aborted)
        throw new RetryableError(`RunPod does not take what is posted for the job ${jobId}: ${why}.`, {
          code: "QUEUE_UNREACHABLE",
        });
      this.#options.log?.warn(
        { runpod_id: jobId, why, tries_left: tries - attempt },
        "a post was not taken; trying again",
      );
      await pause(this.#options.postPausesMs[attempt - 1] ?? 0, undefined, { signal: this.#closing.signal }).catch(
        () => undefined,
      );
    }
  }

  close(): void {
    this.#closing.abort();
  }

  /** Why there is no answer, or the answer. */
  async #post(url: string, body: string, jobId: string, limitMs: number): Promise<BoundedResponse | string> {
    try {
      return await boundedRequest({
        method: "POST",
        url,
        headers: {
          ...this.#authorization(),
          "content-type": "application/x-www-form-urlencoded",
          charset: "utf-8",
          "x-request-id": headerOf(jobId),
          "user-agent": userAgent,
        },
        body: Buffer.from(body),
        signal: this.#closing.signal,
        idleMs: limitMs,
        limitMs,
      });
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #authorization(): Readonly<Record<string, string>> {
    const { apiKey } = this.#options;
    return apiKey === undefined ? {} : { authorization: apiKey };
  }
}

function isTransient({ status }: BoundedResponse): boolean {
  return status === 429 || status >= 500;
}

/** An id is any text. */
function headerOf(jobId: string): string {
  return /^[\x20-\x7e]*$/.test(jobId) ? jobId : encodeURIComponent(jobId.toWellFormed());
}
