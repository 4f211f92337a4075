import { memoryUsage } from "node:process";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import {
  type ExecutorSettings,
  type ExecutorTask,
  type FromExecutor,
  sameAttempt,
  type ToAttempt,
  type ToExecutor,
} from "../protocol.ts";
import { Attempt } from "./attempt.ts";

export interface ExecutorProcessOptions {
  readonly registry: Registry;
  readonly settings: ExecutorSettings;
  readonly log: Logger;
  /** Resolves when the message has left this process. */
  readonly send: (message: FromExecutor) => Promise<void>;
}

interface Current {
  readonly attempt: Attempt;
  readonly done: Promise<void>;
}

/**
 * The executor's inside: runs one task at a time, and gives what the dispatcher says meanwhile to the attempt that it is
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
    const { registry, settings, log, send } = this.#options;
    const attempt = new Attempt(task, {
      registry,
      settings,
      log,
      send: (message) => void send({ kind: "attempt", key: task.key, message }),
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
    const heldModels = [...this.#heldModels];
    await this.#options.send({
      kind: "attempt",
      key: attempt.key,
      message: { kind: "ended", outcome, heldModels, memoryBytes: memoryUsage.rss() },
    });
  }
}
