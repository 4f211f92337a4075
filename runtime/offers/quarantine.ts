import type { ErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { maxSkipped, type UserJobs } from "#runtime/sources/job-source.ts";

/*
 * One user's jobs of one type that kill their executor, or fail one after the other: others do not wait for them. When the
 * next one comes up it is put back, uncharged, and those behind it are skipped, so that others' run. Where a source cannot skip
 * them, or has to skip too many, they are put back as they come up.
 *
 *   (free) ──failed──► marked ──one comes up──► waiting ──its pause is over──► on trial ──completed──► (free)
 *                        ▲                                                        │
 *                        └─────────────────────── failed ────────────────────────┘     the pause doubles: 2 s … 60 s
 *
 * The pause begins when one comes up: before that the executor is being started again, and nobody's job runs. Jobs without
 * a user belong to anybody, and are never in quarantine.
 */
export interface Quarantined {
  readonly userId: string;
  readonly type: string;
  /** Failures since the last job of theirs that went well. */
  readonly failures: number;
  readonly error: ErrorReport;
  readonly sinceMs: number;
  /** Until when their jobs are put back; null while none has come up, and when one may be tried. */
  readonly untilMs: number | null;
}

interface Kept extends Quarantined {
  readonly state: "marked" | "waiting";
  readonly lastFailureAtMs: number;
}

export type Member = Pick<Job, "type" | "user_id">;

export const anyUser = "anonymous";
const pauseMs = { first: 2000, max: 60_000 };
/** A pair that did nothing for so long begins anew. */
const forgottenAfterMs = 600_000;
const maxKept = 1000;

export function quarantineMs(failures: number): number {
  return Math.min(pauseMs.max, pauseMs.first * 2 ** Math.min(failures - 1, 30));
}

export class Quarantine {
  readonly #nowMs: () => number;
  readonly #kept = new Map<string, Kept>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Returns false for jobs that belong to nobody. */
  failed({ user_id: userId, type }: Member, error: ErrorReport): boolean {
    if (userId === anyUser) return false;
    const nowMs = this.#nowMs();
    const key = keyOf(userId, type);
    const known = this.#get(key);
    const failures = (known?.failures ?? 0) + 1;
    const sinceMs = known?.sinceMs ?? nowMs;
    this.#kept.delete(key);
    const one: Kept = {
      userId,
      type,
      failures,
      error,
      sinceMs,
      untilMs: null,
      state: "marked",
      lastFailureAtMs: nowMs,
    };
    this.#kept.set(key, one);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > maxKept && oldest !== undefined) this.#kept.delete(oldest);
    return true;
  }

  /** Returns whether they were in quarantine. */
  completed({ user_id, type }: Member): boolean {
    return this.#kept.delete(keyOf(user_id, type));
  }

  has({ user_id, type }: Member): boolean {
    return this.#get(keyOf(user_id, type)) !== undefined;
  }

  /** For how long a job that has come up is to be put back; 0 when it may run. */
  pauseMs({ user_id, type }: Member): number {
    const key = keyOf(user_id, type);
    const known = this.#get(key);
    if (known === undefined) return 0;
    const nowMs = this.#nowMs();
    if (known.state === "marked") {
      this.#kept.set(key, { ...known, state: "waiting", untilMs: nowMs + quarantineMs(known.failures) });
      return quarantineMs(known.failures);
    }
    return Math.max(0, (known.untilMs ?? 0) - nowMs);
  }

  /** Whose jobs are waiting for their pause to be over, at most `maxSkipped`: those that failed last. */
  get waiting(): readonly UserJobs[] {
    const nowMs = this.#nowMs();
    return lastOf([...this.#kept.values()].filter(({ untilMs }) => (untilMs ?? 0) > nowMs));
  }

  /** Who is in it, waiting or not, at most `maxSkipped`: those that failed last. */
  members(isMeant: (type: string) => boolean): readonly UserJobs[] {
    return lastOf(this.all().filter(({ type }) => isMeant(type)));
  }

  /** When the next pause is over; null when nobody waits for it. */
  get nextEndMs(): number | null {
    const nowMs = this.#nowMs();
    const ends = [...this.#kept.values()].flatMap(({ untilMs }) =>
      untilMs !== null && untilMs > nowMs ? [untilMs] : [],
    );
    return ends.length === 0 ? null : Math.min(...ends);
  }

  all(): readonly Quarantined[] {
    const nowMs = this.#nowMs();
    return [...this.#kept.keys()].flatMap((key) => {
      const one = this.#get(key);
      if (one === undefined) return [];
      const { userId, type, failures, error, sinceMs, untilMs } = one;
      return [
        { userId, type, failures, error, sinceMs, untilMs: untilMs !== null && untilMs > nowMs ? untilMs : null },
      ];
    });
  }

  #get(key: string): Kept | undefined {
    const known = this.#kept.get(key);
    if (known === undefined || this.#nowMs() - known.lastFailureAtMs < forgottenAfterMs) return known;
    this.#kept.delete(key);
    return undefined;
  }
}

function lastOf(members: readonly UserJobs[]): readonly UserJobs[] {
  return members.slice(-maxSkipped).map(({ userId, type }) => ({ userId, type }));
}

function keyOf(userId: string, type: string): string {
  return `${userId}\0${type}`;
}
