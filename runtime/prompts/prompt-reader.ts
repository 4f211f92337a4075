import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CodedError } from "#contract/errors.ts";
import type { PromptReading, PromptTexts } from "#contract/prompt-reading.ts";
import { forkOwned, killExecutor } from "#runtime/executor/parent/fork-executor.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { standardError } from "#runtime/observe/standard-error.ts";
import { type ReadRequest, readAnswer } from "./protocol.ts";

const entry = fileURLToPath(new URL("./child.ts", import.meta.url));

export interface PromptReaderOptions {
  readonly log: Logger;
  readonly handlersFolder: string;
  /** How long this process may be stopped (SIGSTOP) until the reader is killed. */
  readonly stoppedMaxMs: number;
  /** One prompt's limit, the start of the process included. */
  readonly timeoutMs?: number;
  /** The process ends when nothing was read for so long. */
  readonly idleMs?: number;
}

export interface PromptQuestion {
  readonly type: string;
  readonly modelFolder: string;
  readonly texts: PromptTexts;
}

interface Waiting {
  readonly question: PromptQuestion;
  readonly signal: AbortSignal;
  resolve(reading: PromptReading): void;
  reject(error: unknown): void;
}

/** People who type, each with one question at a time. */
const maxWaiting = 16;

/**
 * Has prompts read by a process of its own, one after another.
 *
 *   no process ──a question──► starting, answering ──none left──► idle ──a question──► answering
 *       ▲──────── killed: too slow, idle for too long, stop; or it died ───────────────┘
 */
export class PromptReader {
  readonly #options: PromptReaderOptions;
  readonly #waiting: Waiting[] = [];
  #child: ChildProcess | null = null;
  #current: Waiting | null = null;
  #serial = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PromptReaderOptions) {
    this.#options = options;
  }

  /**
   * @param signal of who asks; who has left is not answered
   * @throws CodedError OVERLOADED, TIMED_OUT, EXECUTOR_CRASHED, and what the handler throws
   */
  read(question: PromptQuestion, signal: AbortSignal): Promise<PromptReading> {
    if (this.#waiting.length >= maxWaiting) {
      return Promise.reject(new CodedError("OVERLOADED", "Too many prompts are being read at once; try again."));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, signal, resolve, reject });
      this.#next();
    });
  }

  /** Of the process, while there is one. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Ends the process; what waits fails. */
  stop(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(stopped());
    this.#end(stopped());
  }

  #next(): void {
    if (this.#current !== null) return;
    const next = this.#waiting.shift();
    if (next === undefined) this.#rest();
    else if (next.signal.aborted) {
      next.reject(next.signal.reason);
      this.#next();
    } else this.#ask(next);
  }

  #ask(next: Waiting): void {
    const { timeoutMs = 20_000, handlersFolder } = this.#options;
    const request: ReadRequest = { id: ++this.#serial, handlersFolder, ...next.question };
    this.#current = next;
    this.#arm(timeoutMs, () => {
      this.#options.log.warn({ job_type: next.question.type }, "a prompt took too long to read; its process is killed");
      this.#end(new CodedError("TIMED_OUT", `The prompt was not read within ${timeoutMs / 1000} seconds.`));
    });
    try {
      this.#child ??= this.#start();
      this.#child.send(request);
    } catch (error) {
      this.#end(error);
    }
  }

  #start(): ChildProcess {
    const child = forkOwned(entry, [], this.#options.stoppedMaxMs);
    for (const output of [child.stdout, child.stderr])
      output?.on("data", (chunk: Buffer) => standardError().write(chunk));
    child.on("message", (message) => this.#answered(message));
    // The death of one that was killed here is no news.
    const gone = (error: Error) => {
      if (child === this.#child) this.#end(error);
    };
    child.on("error", gone);
    child.on("exit", (code, signal) =>
      gone(new CodedError("EXECUTOR_CRASHED", `The process that reads prompts died (${signal ?? code}).`)),
    );
    child.unref();
    child.channel?.unref();
    return child;
  }

  #answered(message: unknown): void {
    const parsed = readAnswer.safeParse(message);
    if (!parsed.success || parsed.data.id !== this.#serial) return;
    const current = this.#current;
    this.#current = null;
    if ("reading" in parsed.data) current?.resolve(parsed.data.reading);
    else {
      const { code, message: text, details } = parsed.data.error;
      current?.reject(new CodedError(code, text, { details }));
    }
    this.#next();
  }

  #rest(): void {
    const { idleMs = 60_000 } = this.#options;
    this.#arm(idleMs, () => this.#end(null));
  }

  #arm(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
    this.#timer.unref();
  }

  /** Kills the process, fails what it was at, and goes on with another one. */
  #end(error: unknown): void {
    clearTimeout(this.#timer);
    const [child, current] = [this.#child, this.#current];
    this.#child = null;
    this.#current = null;
    if (child !== null) killExecutor(child);
    current?.reject(error);
    if (this.#waiting.length > 0) this.#next();
  }
}

function stopped(): CodedError {
  return new CodedError("SHUTTING_DOWN", "The container is stopping.");
}
