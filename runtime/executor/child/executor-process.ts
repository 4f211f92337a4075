import { memoryUsage } from "node:process";
import type { CommandEngine } from "#contract/handler.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import {
  type ExecutorSettings,
  type ExecutorTask,
  endMark,
  type FromAttempt,
  type FromExecutor,
  type HandlerOutcome,
  sameAttempt,
  type ToAttempt,
  type ToExecutor,
} from "../protocol.ts";
import { Attempt, attemptOfThisCode } from "./attempt.ts";
import { failedOutcome } from "./failure.ts";

export interface ExecutorProcessOptions {
  readonly registry: Registry;
  readonly settings: ExecutorSettings;
  /** What runs the jobs in the place of the pipelines. */
  readonly engine?: CommandEngine | undefined;
  readonly log: Logger;
  /** Resolves when the message has left this process. @throws what cannot be sent */
  readonly send: (message: FromExecutor) => Promise<void>;
  readonly killProcesses: (thoroughly: boolean) => Promise<number>;
  /** Ends the process, with the error as evidence. */
  readonly crash: (error: unknown) => void;
  /** Prints on both streams, behind all that was printed before. */
  readonly print: (text: string) => void;
}

/** How long a handler may go on after an error of its own that nobody caught. */
const uncaughtGraceMs = 5000;

interface Current {
  readonly attempt: Attempt;
  readonly done: Promise<void>;
}

/**
 * The executor's inside: runs one task at a time, and gives the dispatcher's messages to the attempt that they are
 * meant for. That is checked here and nowhere else.
 */
export class ExecutorProcess {
  readonly #options: ExecutorProcessOptions;
  readonly #heldModels = new Set<string>();
  #current: Current | null = null;

  constructor(options: ExecutorProcessOptions) {
    this.#options = options;
  }

  receive(message: Exclude<ToExecutor, { kind: "stop" }>): void {
    if (message.kind === "run") this.#start(message.task);
    else this.#toAttempt(message);
  }

  /** Aborts what runs and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#current?.attempt.abort("shutdown");
    await this.#current?.done;
  }

  /**
   * An error that nobody caught. It belongs to the attempt whose code threw it; where there is none, or where the handler
   * does not end of it, the process cannot be trusted any more.
   */
  uncaught(error: unknown): void {
    const attempt = attemptOfThisCode();
    if (attempt === undefined) this.#options.crash(error);
    else if (attempt.uncaught(error)) {
      setTimeout(() => {
        if (!attempt.hasEnded) this.#options.crash(error);
      }, uncaughtGraceMs).unref();
    }
  }

  #toAttempt({ key, message }: ToAttempt): void {
    const attempt = this.#current?.attempt;
    if (attempt !== undefined && sameAttempt(attempt.key, key)) attempt.receive(message);
    else
      this.#options.log.warn(
        { job_id: key.jobId, attempt: key.attempt, kind: message.kind },
        "a message for an attempt that does not run here was dropped",
      );
  }

  #start(task: ExecutorTask): void {
    const { registry, settings, engine, log, killProcesses } = this.#options;
    const attempt = new Attempt(task, {
      registry,
      settings,
      engine,
      log,
      killProcesses,
      send: (message) => {
        this.#send(attempt, message).catch((error: unknown) => void attempt.uncaught(error));
      },
      modelUsed: (name) => {
        this.#heldModels.clear();
        this.#heldModels.add(name);
      },
    });
    this.#current = { attempt, done: this.#run(attempt) };
  }

  async #run(attempt: Attempt): Promise<void> {
    const outcome = await attempt.run();
    this.#current = null;
    this.#options.print(endMark.of(attempt.key.serial));
    const end = (how: HandlerOutcome) =>
      this.#send(attempt, {
        kind: "ended",
        outcome: how,
        heldModels: [...this.#heldModels],
        memoryBytes: memoryUsage.rss(),
      });
    // The job must not wait for an end that cannot be sent.
    await end(outcome).catch((error: unknown) => end(failedOutcome(error)));
  }

  #send({ key }: Attempt, message: FromAttempt["message"]): Promise<void> {
    return this.#options.send({ kind: "attempt", key, message });
  }
}
