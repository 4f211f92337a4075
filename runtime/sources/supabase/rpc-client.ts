import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { CodedError, toErrorReport } from "#contract/errors.ts";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import { ProjectClient } from "#runtime/lib/project-client.ts";
import type { SourceTrouble } from "../source-definition.ts";
import type { ResolvedOptions } from "./options.ts";
import { classify, type RestFailure } from "./rest-errors.ts";

export interface RpcCall<Schema extends z.ZodType> {
  /** Made anew for each try. */
  readonly args: () => Readonly<Record<string, unknown>>;
  readonly answer: Schema;
}

const retryPause = { baseSeconds: 0.1, maxSeconds: 5 };

/**
 * Calls of the database's functions over REST: bounded, repeated where that may help, with errors that say what to do.
 * All that is sent through here may be repeated after an answer was lost.
 */
export class RpcClient {
  readonly #options: ResolvedOptions;
  readonly #project: ProjectClient;
  readonly #closing = new AbortController();
  #trouble: SourceTrouble | null = null;
  /** Requests so far, every try counted. */
  requests = 0;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#project = new ProjectClient(options);
  }

  /** Why the newest request failed, and since when none has succeeded; null when it did. */
  get trouble(): SourceTrouble | null {
    return this.#trouble;
  }

  /** @throws CodedError */
  async call<Schema extends z.ZodType>(name: string, call: RpcCall<Schema>): Promise<z.output<Schema>> {
    const startedAtMs = performance.now();
    for (let tried = 1; ; tried += 1) {
      const { data, failure } = await this.#request(name, call.args());
      if (failure === undefined) {
        this.#trouble = null;
        return parseAnswer(name, call.answer, data);
      }
      const { passing, error } = classify(name, failure);
      const isOver = tried >= this.#options.tries || performance.now() - startedAtMs > this.#options.requestTimeoutMs;
      // What does not pass is about this call, as an unknown job is.
      if (passing) this.#trouble = { ...toErrorReport(error), sinceMs: this.#trouble?.sinceMs ?? Date.now() };
      if (!passing || isOver || this.#closing.signal.aborted) throw error;
      const seconds = retryDelaySeconds(tried, retryPause.baseSeconds, retryPause.maxSeconds, this.#options.random);
      await pause(seconds * 1000, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  /** Ends pauses between tries; a request that is under way is let finish. */
  close(): void {
    this.#closing.abort();
  }

  async #request(
    name: string,
    args: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly data: unknown; readonly failure?: RestFailure }> {
    this.requests += 1;
    const client = await this.#project.get();
    const signal = AbortSignal.timeout(this.#options.requestTimeoutMs);
    const { data, error, status } = await client.rpc(name, { ...args }).abortSignal(signal);
    if (error === null) return { data };
    return { data: null, failure: { ...error, status } };
  }
}

function parseAnswer<Schema extends z.ZodType>(name: string, schema: Schema, data: unknown): z.output<Schema> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const place = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new CodedError(
    "INTERNAL",
    `The database's function ${name} answered something else than this version of the container knows (${place}): apply the project's migrations, or use the container that belongs to them.`,
  );
}
