import type { JobEvents, NumberedEvent } from "#runtime/dispatch/job-events.ts";

/** Stages that are kept; a job has a few for each picture. */
const maxWaiting = 64;

/**
 * Live events of one job that a reader has not taken yet. States are all kept (a job has a few); of previews, progress and text
 * the newest; of stages the latest 64. So a reader that is slow misses pictures and steps, never a state, and costs little.
 */
export class Inbox {
  readonly #waiting: NumberedEvent[] = [];
  readonly #unsubscribe: () => void;
  #wake: (() => void) | null = null;

  constructor(events: JobEvents, jobId: string) {
    this.#unsubscribe = events.subscribe(jobId, (event) => this.#add(event));
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  takeAll(): NumberedEvent[] {
    return this.#waiting.splice(0);
  }

  /** Resolves when an event is there, after `timeoutMs`, or when the signal aborts. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!this.isEmpty || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    const onAbort = () => resolve();
    signal.addEventListener("abort", onAbort);
    this.#wake = resolve;
    await promise;
    this.#wake = null;
    signal.removeEventListener("abort", onAbort);
    clearTimeout(timer);
  }

  close(): void {
    this.#unsubscribe();
  }

  #add(event: NumberedEvent): void {
    const { kind } = event.event;
    if (kind === "preview" || kind === "progress" || kind === "text") this.#drop(kind);
    this.#waiting.push(event);
    if (this.#waiting.length > maxWaiting) this.#drop("stage");
    this.#wake?.();
  }

  #drop(kind: NumberedEvent["event"]["kind"]): void {
    const index = this.#waiting.findIndex(({ event }) => event.kind === kind);
    if (index >= 0) this.#waiting.splice(index, 1);
  }
}
