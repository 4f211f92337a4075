import { randomUUID } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type AttemptLog, attemptLog, maxLogLines } from "#contract/attempt-log.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import type { AttemptOutput } from "#runtime/executor/parent/attempt-output.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, Lease } from "#runtime/sources/job-source.ts";
import { readableLines } from "./readable-line.ts";

/*
 * What attempts have printed, in the data folder of the container that ran them: `<folder>/<job>/<attempt>.json`, of the newest
 * run. A log is written while its attempt runs, and after its end; one of an attempt that printed nothing is not. It is
 * no result, and goes with its time, or with the job's files. That of a failed attempt is also kept by the job's source, where it
 * can: the container may be gone when somebody asks why.
 */
export interface AttemptLogsOptions {
  readonly folder: string;
  readonly workerId: string;
  readonly log: Logger;
  /** How long lines may be unwritten while their attempt runs. */
  readonly everyMs?: number;
}

export type LoggedAttempt = Pick<Lease, "jobId" | "attempt" | "run">;

const defaultEveryMs = 2000;

export class AttemptLogs {
  readonly #options: AttemptLogsOptions;
  readonly #running = new Map<string, () => AttemptLog>();
  readonly #writing = new Set<Promise<void>>();

  constructor(options: AttemptLogsOptions) {
    this.#options = options;
  }

  /**
   * Keeps what the attempt prints, from now to its end. What cannot be written is a warning in the container's own log.
   * @returns the whole of it, when there is no more to come
   */
  follow(attempt: LoggedAttempt, output: AttemptOutput): Promise<AttemptLog> {
    const path = logPath(this.#options.folder, attempt.jobId, attempt.attempt);
    const view = () => this.#view(attempt, output, null);
    this.#running.set(path, view);
    // Numbers of attempts come again: what an earlier one printed is not this one's.
    void this.#write(path, attempt.jobId, null);
    let written = 0;
    const timer = setInterval(() => {
      const printed = output.dropped + output.lines.length;
      if (printed === written) return;
      written = printed;
      void this.#write(path, attempt.jobId, view());
    }, this.#options.everyMs ?? defaultEveryMs).unref();
    const closed = output.closed.then(() => this.#view(attempt, output, new Date().toISOString()));
    void closed.then(async (whole) => {
      clearInterval(timer);
      const ended = () => whole;
      // Until it is on disk, it is read here.
      if (this.#running.get(path) === view) this.#running.set(path, ended);
      if (whole.lines.length > 0) await this.#write(path, attempt.jobId, whole);
      if (this.#running.get(path) === ended) this.#running.delete(path);
    });
    return closed;
  }

  /**
   * Has a failed attempt's log kept by the job's source, too, as soon as it is whole.
   * @param printed what `follow` returned; null for an attempt that has not begun
   */
  keepBy(source: Pick<JobSource, "keepLog">, printed: Promise<AttemptLog> | null): void {
    if (printed === null) return;
    const kept: Promise<void> = printed
      .then((log) => (log.lines.length === 0 ? undefined : source.keepLog?.(log)))
      .catch((error: unknown) => this.#options.log.warn({ error }, "a failed attempt's log is kept here alone"))
      .finally(() => this.#writing.delete(kept));
    this.#writing.add(kept);
  }

  /** Null when there is none: the attempt ran elsewhere, printed nothing, or was too long ago. */
  async read(jobId: string, attempt: number): Promise<AttemptLog | null> {
    const { folder } = this.#options;
    return this.#running.get(logPath(folder, jobId, attempt))?.() ?? (await readAttemptLog(folder, jobId, attempt));
  }

  /** Resolves when all that was printed is on disk. */
  async flushed(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  #view({ jobId, attempt, run }: LoggedAttempt, output: AttemptOutput, endedAt: string | null): AttemptLog {
    const lines = output.lines.flatMap(readableLines);
    return {
      job_id: jobId,
      attempt,
      run,
      worker_id: this.#options.workerId,
      ended_at: endedAt,
      lines: lines.slice(-maxLogLines),
      dropped: output.dropped + Math.max(0, lines.length - maxLogLines),
    };
  }

  /** One after another: an older text must not replace a newer one. */
  #write(path: string, jobId: string, log: AttemptLog | null): Promise<void> {
    const before = [...this.#writing];
    const written: Promise<void> = Promise.all(before)
      .then(() => (log === null ? rm(path, { force: true }) : writeLog(path, log)))
      .catch((error: unknown) => this.#options.log.warn({ error, job_id: jobId }, "an attempt's log is not kept"))
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
    return written;
  }
}

function logPath(folder: string, jobId: string, attempt: number): string {
  return join(folder, jobId, `${attempt}.json`);
}

/** Appears whole: who reads meanwhile gets the one before. */
async function writeLog(path: string, log: AttemptLog): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = `${path}.${randomUUID()}`;
  try {
    await writeFile(temporary, JSON.stringify(log));
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** @returns null when the folder has none of that attempt, or a damaged one */
export async function readAttemptLog(folder: string, jobId: string, attempt: number): Promise<AttemptLog | null> {
  try {
    return attemptLog.parse(JSON.parse(await readFile(logPath(folder, jobId, attempt), "utf8")));
  } catch {
    return null;
  }
}

/** Those of one job. */
export async function removeAttemptLogs(folder: string, jobId: string): Promise<void> {
  await rm(join(folder, jobId), { recursive: true, force: true });
}
