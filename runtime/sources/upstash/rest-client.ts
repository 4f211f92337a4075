import { setTimeout as pause } from "node:timers/promises";
import { CodedError, toErrorReport } from "#contract/errors.ts";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import type { SourceTrouble } from "../source-definition.ts";
import { classify } from "./rest-errors.ts";
import { RestTransport, StaleConnectionError } from "./rest-transport.ts";
import { loadScript, type Script, type ScriptName, scriptNames } from "./scripts.ts";
import type { UsageCounter } from "./usage.ts";

/** Sends one command and resolves with its result; rejects as `RestTransport` does. */
export interface Transport {
  /** @param maxWaitMs how long the command may wait for another one to share a request with */
  send(command: readonly string[], maxWaitMs?: number): Promise<unknown>;
}

export interface RestClientOptions {
  readonly url: string;
  readonly token: string;
  /** How long one try of a request may take. */
  readonly requestTimeoutMs: number;
  /** How often a request is tried before its error is thrown; none is begun after `requestTimeoutMs`. */
  readonly tries: number;
  readonly random: () => number;
  readonly usage: UsageCounter;
  /** The server answers a request after another one, or an earlier try, found it away. */
  readonly onBack?: () => void;
  /** Its own one unless another is given. */
  readonly transport?: Transport | undefined;
}

export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

const retryPause = { baseSeconds: 0.1, maxSeconds: 5 };

/**
 * Requests to the REST API: bounded, repeated where that may help, counted, and with errors that say what to do. All
 * that is sent through here may be repeated after an answer was lost.
 */
export class RestClient {
  readonly #transport: Transport;
  readonly #options: RestClientOptions;
  readonly #closing = new AbortController();
  readonly #scripts: ReadonlyMap<ScriptName, Script>;
  #trouble: SourceTrouble | null = null;
  #full: SourceTrouble | null = null;
  #isAway = false;

  constructor(options: RestClientOptions) {
    this.#options = options;
    this.#scripts = new Map(scriptNames.map((name) => [name, loadScript(name)]));
    const { url, token, requestTimeoutMs: timeoutMs } = options;
    this.#transport = options.transport ?? new RestTransport({ url, token, timeoutMs });
  }

  /**
   * Runs a script, which the server is sent whole only when it does not know it, and returns what follows the count.
   * A function makes the call anew for each try.
   * @param maxWaitMs how long the call may wait for another one to share a request with
   */
  async run(name: ScriptName, call: ScriptCall | (() => ScriptCall), maxWaitMs = 0): Promise<unknown[]> {
    const answer = await this.#try(() => this.#evaluate(name, typeof call === "function" ? call() : call, maxWaitMs));
    if (!Array.isArray(answer)) throw new CodedError("INTERNAL", `The script "${name}" gave no list.`);
    const [billed, ...rest] = answer;
    this.#options.usage.count(name, Number(billed));
    return rest;
  }

  /**
   * Why the newest request failed, and since when none has succeeded; null when it did. That the database is full is
   * heard by writes alone, and stays until `hasRoom`.
   */
  get trouble(): SourceTrouble | null {
    return this.#trouble ?? this.#full;
  }

  /** Something was written that a full database refuses. */
  hasRoom(): void {
    this.#full = null;
  }

  /** Runs one plain command. */
  async command(operation: string, command: [string, ...string[]]): Promise<unknown> {
    const answer = await this.#try(() => this.#transport.send(command));
    this.#options.usage.count(operation, 1);
    return answer;
  }

  /** Ends pauses between tries; a request that is under way is let finish. */
  close(): void {
    this.#closing.abort();
  }

  async #try<Answer>(request: () => Promise<Answer>): Promise<Answer> {
    const startedAtMs = performance.now();
    for (let tried = 1; ; tried += 1) {
      this.#options.usage.countRequest();
      try {
        const answer = await request();
        this.#succeeded();
        return answer;
      } catch (error) {
        const failure = classify(error);
        if (failure === "no script") throw new CodedError("INTERNAL", "The queue's server does not keep scripts.");
        if (failure.error.code === "QUEUE_UNREACHABLE") this.#isAway = true;
        const isOver = tried >= this.#options.tries || performance.now() - startedAtMs > this.#options.requestTimeoutMs;
        if (!failure.passing || isOver || this.#closing.signal.aborted) {
          this.#failed(failure.error);
          throw failure.error;
        }
        // A new connection will do: nothing is wrong with the server.
        if (error instanceof StaleConnectionError && tried === 1) continue;
      }
      const seconds = retryDelaySeconds(tried, retryPause.baseSeconds, retryPause.maxSeconds, this.#options.random);
      await pause(seconds * 1000, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  #succeeded(): void {
    this.#trouble = null;
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#options.onBack?.();
  }

  #failed(error: CodedError): void {
    const report = toErrorReport(error);
    if (error.code !== "QUEUE_FULL") this.#trouble = { ...report, sinceMs: this.#trouble?.sinceMs ?? Date.now() };
    else this.#full = { ...report, sinceMs: this.#full?.sinceMs ?? Date.now() };
  }

  async #evaluate(name: ScriptName, { keys, args }: ScriptCall, maxWaitMs: number): Promise<unknown> {
    const script = this.#scripts.get(name);
    if (script === undefined) throw new CodedError("INTERNAL", `There is no script "${name}".`);
    try {
      return await this.#transport.send(["EVALSHA", script.sha, String(keys.length), ...keys, ...args], maxWaitMs);
    } catch (error) {
      if (classify(error) !== "no script") throw error;
      this.#options.usage.count(name, 1);
      this.#options.usage.countRequest();
      return await this.#transport.send(["EVAL", script.text, String(keys.length), ...keys, ...args]);
    }
  }
}
