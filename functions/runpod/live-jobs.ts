/*
 * What is known of a job beside its record, in this process alone: what its container has reported while it runs, chunks that
 * nobody has read yet, its output as it was posted. Bounded to the latest jobs; the record is the durable truth.
 */
export interface LiveJob {
  /** As the container posted it last. */
  progress: unknown;
  /** Not read yet. */
  readonly chunks: unknown[];
  /** Of a text that is read from elsewhere: how much of it was streamed. */
  streamedCharacters: number;
  workerId: string | null;
  /** How often it went back to the queue because its container was gone. */
  retries: number;
  /** As it was posted at the end; undefined before, and for who did not get it. */
  output: unknown;
  error: string | undefined;
}

const maxJobs = 2000;
const maxChunks = 10_000;

export class LiveJobs {
  readonly #jobs = new Map<string, LiveJob>();
  readonly #waits = new Map<string, Set<() => void>>();

  /** Made when it is first asked for. */
  of(jobId: string): LiveJob {
    const known = this.#jobs.get(jobId);
    if (known !== undefined) return known;
    const job: LiveJob = {
      progress: undefined,
      chunks: [],
      streamedCharacters: 0,
      workerId: null,
      retries: 0,
      output: undefined,
      error: undefined,
    };
    this.#jobs.set(jobId, job);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > maxJobs && oldest !== undefined) this.#jobs.delete(oldest);
    return job;
  }

  peek(jobId: string): LiveJob | undefined {
    return this.#jobs.get(jobId);
  }

  addChunk(jobId: string, chunk: unknown): void {
    const { chunks } = this.of(jobId);
    chunks.push(chunk);
    if (chunks.length > maxChunks) chunks.shift();
    this.changed(jobId);
  }

  /** Forgets what an earlier run of the job has left. */
  restart(jobId: string): void {
    const job = this.of(jobId);
    job.progress = undefined;
    job.chunks.splice(0);
    job.streamedCharacters = 0;
    job.output = undefined;
    job.error = undefined;
  }

  forget(jobId: string): void {
    this.#jobs.delete(jobId);
  }

  /** Ends the waits for this job. */
  changed(jobId: string): void {
    for (const end of this.#waits.get(jobId) ?? []) end();
  }

  /** Resolves when something of the job has changed here, after `timeoutMs`, or when the signal aborts. */
  async wait(jobId: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => resolve();
    const waits = this.#waits.get(jobId) ?? new Set();
    this.#waits.set(jobId, waits);
    waits.add(end);
    signal.addEventListener("abort", end);
    const timer = setTimeout(end, timeoutMs);
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    waits.delete(end);
    if (waits.size === 0) this.#waits.delete(jobId);
  }
}
