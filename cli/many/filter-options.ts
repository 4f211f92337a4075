import { type Command, InvalidArgumentError } from "commander";
import { type JobFilter, type JobStatus, queueName } from "#runtime/sources/job-source.ts";
import { usageError } from "../errors.ts";
import { textOption, userOption } from "../filters.ts";
import type { QueueChoice } from "../queue.ts";
import type { GlobalOptions } from "../settings.ts";

/** By which a command names many jobs instead of one. */
export interface FilterOptions extends GlobalOptions, QueueChoice {
  readonly queue?: string;
  readonly type?: string;
  readonly user?: string;
  readonly code?: string;
  readonly status?: string;
  readonly olderThan?: number;
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** "90s", "30m", "12h", "7d" in seconds. */
export function durationOption(text: string): number {
  const [, amount, unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(amount) * (unitSeconds[unit] ?? Number.NaN);
  if (Number.isNaN(seconds)) throw new InvalidArgumentError("It must be a time such as 90s, 30m, 12h or 7d.");
  return seconds;
}

/** Adds the options that name many jobs, but for those that only some commands have. */
export function addFilterOptions(command: Command): Command {
  return command
    .option("--queue <queue>", "those of this queue, such as sdxl_queue", textOption)
    .option("--type <type>", "those of this type", textOption)
    .option("--user <id>", "those of this user", userOption)
    .option("--older-than <time>", "those made at least so long ago: 90s, 30m, 12h, 7d", durationOption)
    .option("--all", "all of them, without any other condition");
}

/** Adds how a change of many jobs is made. */
export function addChangeOptions(command: Command): Command {
  return command
    .option("--dry-run", "only count them")
    .option("--yes", "ask nothing; needed where there is no terminal");
}

/** The worker of a queue, which may be named with or without its ending. */
export function workerOf(queue: string): string {
  return queue.replace(/_queue$/, "");
}

export function queueOf({ queue }: Pick<FilterOptions, "queue">): string | undefined {
  return queue === undefined ? undefined : queueName(workerOf(queue));
}

/** The filter for the sources of this machine. */
export function filterOf(options: FilterOptions, statuses: readonly JobStatus[], nowMs: number): JobFilter {
  const { queue, type, user: userId, code, olderThan } = options;
  return {
    statuses,
    worker: queue === undefined ? undefined : workerOf(queue),
    type,
    userId,
    code,
    createdBeforeMs: olderThan === undefined ? undefined : nowMs - olderThan * 1000,
  };
}

/**
 * Whether many jobs are meant. One job and a filter are not meant at the same time, no filter is not all jobs, and one job
 * is never changed by what says that it changes nothing.
 * @throws CodedError INVALID_REQUEST
 */
export function namesMany(id: string | undefined, options: FilterOptions): boolean {
  const { queue, type, user, code, status, olderThan, all } = options;
  const isFiltered = [queue, type, user, code, status, olderThan, all].some((value) => value !== undefined);
  if (id !== undefined && isFiltered) throw usageError("Name one job, or say which jobs by options, not both.");
  if (id === undefined && !isFiltered)
    throw usageError(
      "Name a job, or say which jobs: --queue, --type, --user, --code, --status, --older-than, or --all.",
    );
  if (id !== undefined && options.dryRun)
    throw usageError(
      "--dry-run counts what a filter would change: leave it out for one job, or say which jobs by options.",
    );
  return id === undefined;
}
