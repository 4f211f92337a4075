import type { ErrorReport } from "#contract/errors.ts";
import type { StageMessage } from "#runtime/executor/protocol.ts";
import type { Span, Tracing } from "./tracing.ts";

export interface TracedCall {
  readonly type: string;
  readonly worker: string;
  readonly jobId: string;
  /** The span that the call belongs to: the run of the calling job, or what an HTTP client names. */
  readonly parent: string | undefined;
}

/**
 * The spans of one call:
 *
 *   call <type>     from the call to its answer
 *   ├─ wait         until it was its turn
 *   └─ run          what the called worker's executor did
 *      └─ load, generate, …   the stages that the called handler reported
 */
export class CallTrace {
  readonly #tracing: Tracing;
  readonly #call: Span;
  #wait: Span | null;
  #run: Span | null = null;
  readonly #worker: string;

  constructor(tracing: Tracing, { type, worker, jobId, parent }: TracedCall) {
    this.#tracing = tracing;
    this.#worker = worker;
    const attributes = { "job.id": jobId, "job.type": type, worker };
    this.#call = tracing.start(`call ${type}`, { parent, attributes });
    this.#wait = tracing.start("wait", { parent: this.traceparent });
  }

  get traceparent(): string | undefined {
    return this.#call.traceparent;
  }

  runs(): void {
    this.#wait?.end();
    this.#wait = null;
    this.#run = this.#tracing.start("run", { parent: this.traceparent, attributes: { worker: this.#worker } });
  }

  stage({ name, startedAtMs, seconds, model }: StageMessage): void {
    const attributes = model === undefined ? {} : { attributes: { model } };
    this.#tracing
      .start(name, { parent: this.#run?.traceparent, startedAtMs, ...attributes })
      .end({ endedAtMs: startedAtMs + seconds * 1000 });
  }

  ran(): void {
    this.#run?.end();
    this.#run = null;
  }

  answered(outcome: string, error: ErrorReport | undefined): void {
    this.#wait?.end();
    this.#wait = null;
    this.#call.end({ attributes: { "call.outcome": outcome }, ...(error === undefined ? {} : { error }) });
  }
}
