import type { LeftJobs } from "#runtime/sources/change-many.ts";
import { canAsk, confirm } from "../confirm.ts";
import { exitCodes, usageError } from "../errors.ts";
import { filterHints } from "../filter-check.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import type { FilterOptions } from "./filter-options.ts";

/** One part of a change, wherever it is made. */
export interface PartRequest {
  readonly limit: number;
  readonly cursor: string | undefined;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

export interface PartOutcome {
  readonly matched: number;
  /** How many jobs were changed, by what became of them. */
  readonly changed: Readonly<Record<string, number>>;
  readonly left: readonly LeftJobs[];
  readonly cursor: string | null;
  readonly unreachable: readonly string[];
}

export interface JobChange {
  /** What is done to them, for the question: `Discard`. */
  readonly verb: string;
  /** What the result counts, also when it is none. */
  readonly counts: readonly string[];
  part(request: PartRequest): Promise<PartOutcome>;
  /** The job types that there are where it is made, for who has mistyped one. */
  knownTypes(): Promise<readonly string[]>;
  /** How many finished jobs the change leaves alone because their results wait; left out where there is no such thing. */
  waiting?(): Promise<number>;
}

interface Total {
  matched: number;
  readonly changed: Record<string, number>;
  readonly left: Map<string, LeftJobs>;
  readonly unreachable: Set<string>;
}

const partSize = 500;
/** Before it asks, the command counts no further. */
const maxCounted = 10_000;

/** Makes a change in parts, reports how far it is, and stops after a part when it is interrupted. */
export async function changeJobs(change: JobChange, options: FilterOptions): Promise<number> {
  const { dryRun = false, yes = false, json } = options;
  if (!dryRun && !yes && !(await isWanted(change, options))) {
    note("Nothing was changed.");
    return exitCodes.failed;
  }
  const interruption = new Interruption();
  const total = await inParts(change, dryRun, interruption.signal, (soFar) => {
    if (!json) note(`${countsOf(soFar.changed)} so far`);
  });
  interruption.close();
  const left = [...total.left.values()];
  const changed = Object.fromEntries(change.counts.map((name) => [name, total.changed[name] ?? 0]));
  const isInterrupted = interruption.exitCode !== null;
  printResult(
    options,
    {
      ...changed,
      matched: total.matched,
      left,
      dry_run: dryRun,
      interrupted: isInterrupted,
      unreachable: [...total.unreachable],
    },
    `${dryRun ? "would be: " : ""}${countsOf(changed)}`,
  );
  if (!json && total.matched === 0)
    note(
      ["No job matches.", ...(await filterHints(options, change.knownTypes)), ...(await waitingHints(change))].join(
        " ",
      ),
    );
  if (!json) for (const { jobs, code, message } of left) note(`${numbered(jobs)} left (${code}): ${message}`);
  if (!json && total.unreachable.size > 0) note(`No answer from: ${[...total.unreachable].join(", ")}.`);
  return interruption.exitCode ?? (total.unreachable.size > 0 ? exitCodes.failed : exitCodes.completed);
}

async function inParts(
  { part }: JobChange,
  dryRun: boolean,
  signal: AbortSignal,
  onPart: (total: Total) => void,
  maxMatched = Number.POSITIVE_INFINITY,
): Promise<Total> {
  const total: Total = { matched: 0, changed: {}, left: new Map(), unreachable: new Set() };
  for (let cursor: string | undefined; ; ) {
    const outcome = await part({ limit: partSize, cursor, dryRun, signal });
    total.matched += outcome.matched;
    for (const [name, jobs] of Object.entries(outcome.changed)) total.changed[name] = (total.changed[name] ?? 0) + jobs;
    for (const each of outcome.left) {
      const key = `${each.code} ${each.message}`;
      total.left.set(key, { ...each, jobs: each.jobs + (total.left.get(key)?.jobs ?? 0) });
    }
    for (const name of outcome.unreachable) total.unreachable.add(name);
    if (outcome.cursor === null || signal.aborted || total.matched >= maxMatched) return total;
    cursor = outcome.cursor;
    onPart(total);
  }
}

/** Counts what is meant, and asks. @throws CodedError INVALID_REQUEST where nobody can be asked */
async function isWanted(change: JobChange, options: FilterOptions): Promise<boolean> {
  if (!canAsk(options))
    throw usageError("This changes many jobs: look with --dry-run, then add --yes (nobody can be asked here).");
  const total = await inParts(change, true, new AbortController().signal, () => undefined, maxCounted);
  const jobs = total.matched >= maxCounted ? `more than ${numbered(maxCounted)}` : numbered(total.matched);
  return confirm(`${change.verb} ${jobs}?`);
}

/** A hint: where nothing can be counted, there is none. */
async function waitingHints({ waiting }: JobChange): Promise<readonly string[]> {
  const jobs = (await waiting?.().catch(() => 0)) ?? 0;
  if (jobs === 0) return [];
  const whose =
    jobs === 1
      ? "1 job has been worked off, and its result waits"
      : `${numbered(jobs)} have been worked off, and their results wait`;
  return [`${whose} to be delivered: "ourvidz outbox" says why.`];
}

function countsOf(changed: Readonly<Record<string, number>>): string {
  const parts = Object.entries(changed).map(([name, count]) => `${count.toLocaleString("en-US")} ${name}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}

function numbered(jobs: number): string {
  return jobs === 1 ? "1 job" : `${jobs.toLocaleString("en-US")} jobs`;
}
