import { type JobCallback, jobCallback, withAssetUrls } from "#contract/callback.ts";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { describeProblems, parseWith } from "#contract/problems.ts";
import { signCallback } from "#contract/signature.ts";
import type { CallbackConfig, SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { type BoundedResponse, boundedRequest } from "#runtime/lib/bounded-request.ts";
import { serviceHeaders } from "#runtime/lib/service-headers.ts";
import type { Callback } from "./callback.ts";
import { type RefusalWords, refusalOf } from "./refusal.ts";

/*
 * The app's own endpoint, `job-callback` or another. What its answers mean: refusal.ts.
 */
export interface HttpCallbackOptions {
  readonly config: CallbackConfig;
  /** The project whose key the app's edge functions know; null when there is none. */
  readonly project: SupabaseConfig | null;
  readonly nowMs: () => number;
  readonly limitMs?: number;
}

/** The limit of an edge function's answer, short of what is not an answer any more. */
const defaultLimitMs = 30_000;

const words: Omit<RefusalWords, "endpoint"> = {
  what: "callback endpoint",
  unreachable: "CALLBACK_UNREACHABLE",
  refused: "CALLBACK_REFUSED",
  accessAdvice: "check SUPABASE_SERVICE_KEY and JOB_CALLBACK_SECRET",
  advice: "check CALLBACK_URL, and that the function is deployed",
};

export class HttpCallback implements Callback {
  readonly name = "http";
  readonly #options: HttpCallbackOptions;
  readonly #keyHeaders: Readonly<Record<string, string>>;

  constructor(options: HttpCallbackOptions) {
    this.#options = options;
    const { project, config } = options;
    this.#keyHeaders =
      project !== null && mayHaveKey(config.url, project.url) ? serviceHeaders(project.serviceKey) : {};
  }

  async send(callback: JobCallback, signal: AbortSignal): Promise<void> {
    const { config, nowMs } = this.#options;
    const body = bodyOf(callback, config.assets);
    const answer = await this.#post(body, signal);
    if (answer.status >= 200 && answer.status < 300) return;
    throw refusalOf(answer, { ...words, endpoint: shownEndpoint(config.url) }, nowMs());
  }

  async #post(body: Uint8Array, signal: AbortSignal): Promise<BoundedResponse> {
    const { config, nowMs, limitMs = defaultLimitMs } = this.#options;
    const signatures = config.secret === null ? {} : await signCallback(config.secret, body, nowMs());
    try {
      return await boundedRequest({
        method: "POST",
        url: config.url,
        headers: {
          "content-type": "application/json",
          "content-length": body.byteLength,
          ...this.#keyHeaders,
          ...signatures,
        },
        body,
        signal,
        idleMs: limitMs,
        limitMs,
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new RetryableError(`The callback endpoint ${shownEndpoint(config.url)} cannot be reached: ${why}.`, {
        code: "CALLBACK_UNREACHABLE",
        cause,
      });
    }
  }
}

/** The bytes that are signed and sent. @throws PermanentError for what must not be reported, as "completed" without a file */
function bodyOf(callback: JobCallback, assets: CallbackConfig["assets"]): Uint8Array {
  const checked = parseWith(jobCallback, callback);
  if (!checked.ok) {
    const problems = describeProblems(checked.problems);
    throw new PermanentError(`The callback of job ${callback.job_id} is not one: ${problems}.`, {
      code: "CALLBACK_REFUSED",
    });
  }
  return Buffer.from(JSON.stringify(assets === "urls" ? withAssetUrls(callback) : callback));
}

/**
 * The service key opens the whole project: it goes to the project's own host only, and to the host name that its functions
 * have besides. Any other endpoint knows the callback by its signature.
 */
function mayHaveKey(callbackUrl: string, projectUrl: string): boolean {
  const [callback, project] = [new URL(callbackUrl), new URL(projectUrl)];
  if (project.protocol === "https:" && callback.protocol !== "https:") return false;
  const functionsHost = project.hostname.replace(/^([a-z0-9]+)\.supabase\.(co|in)$/, "$1.functions.supabase.$2");
  return callback.hostname === project.hostname || callback.hostname === functionsHost;
}

/** For messages and logs: a query may hold a token of its own. */
export function shownEndpoint(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
