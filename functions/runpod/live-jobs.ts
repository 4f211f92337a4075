/*
 * What is known of a job beside its record, in this process alone: what its container has reported while it runs, chunks that
 * nobody has read yet, its output as it was posted. Bounded in jobs and in bytes, of which the latest are kept; the record is the
 * durable truth.
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

export interface LiveJobsLimits {
  readonly jobs: number;
  /** Of all jobs together, as JSON. */
  readonly bytes: number;
  /** Of one job: what is not read. */
  readonly chunks: number;
  readonly chunkBytes: number;
}

const defaultLimits: LiveJobsLimits = {
  jobs: 2000,
  bytes: 256 * 1024 * 1024,
  chunks: 10_000,
  chunkBytes: 32 * 1024 * 1024,
};

/** With the bytes of what it holds. */
interface Entry {
  readonly job: LiveJob;
  /** Of each chunk, and of all of them. */
  readonly chunkBytes: number[];
  unreadBytes: number;
  progressBytes: number;
  resultBytes: number;
}

export class LiveJobs {
  readonly #limits: LiveJobsLimits;
  readonly #jobs = new Map<string, Entry>();
  readonly #waits = new Map<string, Set<() => void>>();
  #bytes = 0;

  constructor(limits: Partial<LiveJobsLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  /** Made when it is first wanted. */
  of(jobId: string): LiveJob {
    return this.#entryOf(jobId).job;
  }

  peek(jobId: string): LiveJob | undefined {
    return this.#jobs.get(jobId)?.job;
  }

  setProgress(jobId: string, progress: unknown): void {
    const entry = this.#entryOf(jobId);
    entry.job.progress = progress;
    const bytes = bytesOf(progress);
    this.#bytes += bytes - entry.progressBytes;
    entry.progressBytes = bytes;
    this.#makeRoom(jobId);
  }

  setResult(jobId: string, { output, error }: Pick<LiveJob, "output" | "error">): void {
    const entry = this.#entryOf(jobId);
    Object.assign(entry.job, { output, error });
    const bytes = bytesOf(output) + bytesOf(error);
    this.#bytes += bytes - entry.resultBytes;
    entry.resultBytes = bytes;
    this.#makeRoom(jobId);
  }

  /** Of a job whose chunks nobody reads, the oldest are given up. */
  addChunk(jobId: string, chunk: unknown): void {
    const entry = this.#entryOf(jobId);
    const { chunks, chunkBytes } = this.#limits;
    entry.job.chunks.push(chunk);
    entry.chunkBytes.push(bytesOf(chunk));
    this.#countUnread(entry, entry.chunkBytes.at(-1) ?? 0);
    while (entry.chunkBytes.length > 1 && (entry.chunkBytes.length > chunks || entry.unreadBytes > chunkBytes)) {
      entry.job.chunks.shift();
      this.#countUnread(entry, -(entry.chunkBytes.shift() ?? 0));
    }
    this.#makeRoom(jobId);
    this.changed(jobId);
  }

  /** What nobody has read, which is then taken as read. */
  takeChunks(jobId: string): readonly unknown[] {
    const entry = this.#jobs.get(jobId);
    if (entry === undefined) return [];
    this.#countUnread(entry, -entry.unreadBytes);
    entry.chunkBytes.length = 0;
    return entry.job.chunks.splice(0);
  }

  /** Forgets what an earlier run of the job has left. */
  restart(jobId: string): void {
    this.takeChunks(jobId);
    this.setProgress(jobId, undefined);
    this.setResult(jobId, { output: undefined, error: undefined });
    this.of(jobId).streamedCharacters = 0;
  }

  forget(jobId: string): void {
    const entry = this.#jobs.get(jobId);
    if (entry !== undefined) this.#bytes -= weightOf(entry);
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

  #entryOf(jobId: string): Entry {
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
    const entry: Entry = { job, chunkBytes: [], unreadBytes: 0, progressBytes: 0, resultBytes: 0 };
    this.#jobs.set(jobId, entry);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > this.#limits.jobs && oldest !== undefined) this.forget(oldest);
    return entry;
  }

  #countUnread(entry: Entry, bytes: number): void {
    entry.unreadBytes += bytes;
    this.#bytes += bytes;
  }

  /** The oldest jobs that hold anything go first, never the one that has just been written to. */
  #makeRoom(jobId: string): void {
    if (this.#bytes <= this.#limits.bytes) return;
    for (const [id, entry] of this.#jobs) {
      if (id !== jobId && weightOf(entry) > 0) this.forget(id);
      if (this.#bytes <= this.#limits.bytes) return;
    }
  }
}

function weightOf({ unreadBytes, progressBytes, resultBytes }: Entry): number {
  return unreadBytes + progressBytes + resultBytes;
}

function bytesOf(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}
