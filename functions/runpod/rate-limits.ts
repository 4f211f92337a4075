import { RetryableError } from "#contract/errors.ts";

/* How often each operation of an endpoint may be called: in any 10 seconds, and at the same time. As RunPod documents it. */
const windowMs = 10_000;

export interface RateLimit {
  readonly perWindow: number;
  readonly concurrent: number;
}

const limits = {
  run: { perWindow: 1000, concurrent: 200 },
  runsync: { perWindow: 2000, concurrent: 400 },
  status: { perWindow: 2000, concurrent: 400 },
  "status-sync": { perWindow: 2000, concurrent: 400 },
  stream: { perWindow: 2000, concurrent: 400 },
  cancel: { perWindow: 100, concurrent: 20 },
  retry: { perWindow: 100, concurrent: 20 },
  health: { perWindow: 2000, concurrent: 400 },
  "purge-queue": { perWindow: 2, concurrent: 2 },
  requests: { perWindow: 10, concurrent: 2 },
} as const satisfies Readonly<Record<string, RateLimit>>;

export type Operation = keyof typeof limits;

/** Beyond so many endpoints and operations, what is not under way is forgotten. */
const maxKept = 1000;

export class RateLimits {
  readonly #nowMs: () => number;
  readonly #calls = new Map<string, { underWay: number; at: number[] }>();

  /** @param nowMs a clock that is never set */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @throws RetryableError TOO_MANY_REQUESTS */
  async within<Result>(endpoint: string, operation: Operation, call: () => Promise<Result>): Promise<Result> {
    const { perWindow, concurrent } = limits[operation];
    const key = `${operation}/${endpoint}`;
    const calls = this.#calls.get(key) ?? { underWay: 0, at: [] };
    const nowMs = this.#nowMs();
    calls.at = calls.at.filter((atMs) => nowMs - atMs < windowMs);
    if (calls.underWay >= concurrent || calls.at.length >= perWindow) {
      const message = `More than ${perWindow} calls of ${operation} in 10 s, or ${concurrent} at a time: try again later.`;
      throw new RetryableError(message, { code: "TOO_MANY_REQUESTS", delaySeconds: 10 });
    }
    this.#calls.set(key, calls);
    calls.at.push(nowMs);
    calls.underWay++;
    try {
      return await call();
    } finally {
      calls.underWay--;
      if (this.#calls.size > maxKept) this.#forget();
    }
  }

  #forget(): void {
    for (const [key, { underWay }] of this.#calls) if (underWay === 0) this.#calls.delete(key);
  }
}
