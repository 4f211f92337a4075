import type { ErrorReport } from "#contract/errors.ts";

/*
 * What attempts have found wrong with this container. Of a job type, a model or a whole worker:
 *
 *   active ──its pause is over──► probing ──an attempt went well──► (gone)
 *     ▲                             │
 *     └──────── found again ────────┘        the pause doubles: 1 s, 2 s, … 5 min
 *
 * While it is active, the jobs concerned are left to others. While it is being probed they are taken again; there is one
 * executor for a worker, so that one job tries it. What changes (a model's files, a handler's file) is probed at once.
 */
export const conditionKinds = ["type", "model", "worker"] as const;
export type ConditionKind = (typeof conditionKinds)[number];

export interface ConditionKey {
  readonly worker: string;
  readonly kind: ConditionKind;
  /** The job type, the model's name or the worker. */
  readonly subject: string;
}

export interface Condition extends ConditionKey {
  readonly error: ErrorReport;
  readonly sinceMs: number;
  /** When it is looked at again; null: when something changes. */
  readonly nextLookMs: number | null;
  readonly state: "active" | "probing";
  /** A model that was never here: its jobs are left to others, and nothing is wrong. */
  readonly isAbsence?: boolean;
}

/** What a condition goes back to: when it has another version, the condition may be gone. */
export interface Watched {
  readonly kind: "model" | "handler";
  readonly name: string;
  /** Undefined: it is not there. */
  readonly version: string | undefined;
}

interface Kept extends Condition {
  readonly times: number;
  readonly watched: Watched | null;
}

const pauseMs = { first: 1000, max: 300_000 };

/** Before the next look after `times` times in a row: 1 s, doubling up to 5 min. */
export function lookAgainMs(times: number): number {
  return Math.min(pauseMs.max, pauseMs.first * 2 ** Math.min(times - 1, 30));
}

export function keyOf({ worker, kind, subject }: ConditionKey): string {
  return `${worker}\0${kind}\0${subject}`;
}

export class Conditions {
  readonly #nowMs: () => number;
  readonly #kept = new Map<string, Kept>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Found by an attempt. What is active already is not made longer by a second attempt that was under way. */
  found(key: ConditionKey, error: ErrorReport, watched: Watched | null = null): void {
    const { worker, kind, subject } = key;
    const known = this.#kept.get(keyOf(key));
    if (known?.state === "active") return;
    const nowMs = this.#nowMs();
    const times = (known?.times ?? 0) + 1;
    const nextLookMs = nowMs + lookAgainMs(times);
    const sinceMs = known?.sinceMs ?? nowMs;
    this.#kept.set(keyOf(key), { worker, kind, subject, error, sinceMs, nextLookMs, state: "active", times, watched });
  }

  /** Found again by the probe of somebody whose jobs are known to fail: it says nothing new, and the pause does not grow. */
  foundNothingNew(key: ConditionKey, error: ErrorReport): void {
    const known = this.#kept.get(keyOf(key));
    if (known?.state !== "probing") return;
    const nextLookMs = this.#nowMs() + lookAgainMs(Math.max(1, known.times));
    this.#kept.set(keyOf(key), { ...known, error, nextLookMs, state: "active" });
  }

  /** An attempt that had to do with it went well. Returns whether there was such a condition. */
  overcome(key: ConditionKey): boolean {
    return this.#kept.delete(keyOf(key));
  }

  /** Moves on what is due, and what goes back to something that has another version by now. */
  look(versionOf: (watched: Watched) => string | undefined): void {
    const nowMs = this.#nowMs();
    for (const [key, kept] of this.#kept) {
      const isDue = kept.nextLookMs !== null && kept.nextLookMs <= nowMs;
      const { watched } = kept;
      const version = watched === null ? undefined : versionOf(watched);
      if (watched !== null && version !== watched.version)
        this.#kept.set(key, { ...kept, state: "probing", times: 0, watched: { ...watched, version } });
      else if (isDue && kept.state === "active") this.#kept.set(key, { ...kept, state: "probing" });
    }
  }

  /** When the next one is due; null when none is active. */
  get nextLookMs(): number | null {
    const times = this.all().flatMap(({ state, nextLookMs }) => (state === "active" && nextLookMs ? [nextLookMs] : []));
    return times.length === 0 ? null : Math.min(...times);
  }

  all(): readonly Condition[] {
    return [...this.#kept.values()];
  }
}
