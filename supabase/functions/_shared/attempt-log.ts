import { z } from "zod";

/** Bounds of what is kept of one attempt's output: the last lines, each shortened. */
export const maxLogLines = 100;
export const maxLogLineCharacters = 1000;

/** Of a log that is kept beside its job, for whoever does not reach the container: the last lines, in bytes of UTF-8. */
export const maxKeptLogBytes = 16_384;

export function shortLine(line: string, maxCharacters = maxLogLineCharacters): string {
  return line.length <= maxCharacters ? line : `${line.slice(0, maxCharacters - 1)}…`;
}

/** What an attempt has printed, as its container keeps it and shows it. */
export const attemptLog = z
  .object({
    job_id: z.string(),
    attempt: z.number().int(),
    /** Which run of the job: 1, and one more with every retry of a failed job. Null where nothing was printed. */
    run: z.number().int().nullable(),
    /** The container that ran the attempt, and has this. */
    worker_id: z.string(),
    /** Null while it runs. */
    ended_at: z.iso.datetime().nullable(),
    /** The last lines, the oldest first: what its handler logged and printed, and what its process said when it died. */
    lines: z.array(z.string()),
    /** How many lines were before those. */
    dropped: z.number().int(),
  })
  .meta({ id: "AttemptLog" });

/** The log with as many of its last lines as fit. */
export function boundedLog(log: AttemptLog, maxBytes = maxKeptLogBytes): AttemptLog {
  const lines: string[] = [];
  let left = maxBytes;
  for (const line of log.lines.toReversed()) {
    left -= new TextEncoder().encode(line).byteLength + 1;
    if (left < 0) break;
    lines.unshift(line);
  }
  return { ...log, lines, dropped: log.dropped + log.lines.length - lines.length };
}

export type AttemptLog = z.output<typeof attemptLog>;
