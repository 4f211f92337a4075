/* When a container was heard of last, by endpoint and container. */
interface Sighting {
  seenAtMs: number;
  isUnhealthy: boolean;
  hasPinged: boolean;
}

/** A job that a container has. */
interface PlacedJob {
  readonly endpoint: string;
  readonly workerId: string | null;
  /** When its container has named it last. */
  readonly namedAtMs: number;
}

export interface SightingsOptions {
  /** A clock that is never set, and stands still while the machine sleeps. */
  readonly steadyMs: () => number;
  /** Silence after which a container is taken for gone. */
  readonly silentMs: number;
}

export class Sightings {
  readonly #options: SightingsOptions;
  readonly #seen = new Map<string, Sighting>();

  constructor(options: SightingsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#seen.size;
  }

  has(key: string): boolean {
    return this.#seen.has(key);
  }

  see(endpoint: string, workerId: string | null): Sighting {
    const key = keyOf(endpoint, workerId);
    const sighting = this.#seen.get(key) ?? { seenAtMs: 0, isUnhealthy: false, hasPinged: false };
    sighting.seenAtMs = this.#options.steadyMs();
    this.#seen.set(key, sighting);
    return sighting;
  }

  /**
   * Whether the job's container is taken for gone. One that pings names its jobs: what else is heard under its name may come
   * from a process that was started in its place and knows nothing of them.
   */
  isSilent({ endpoint, workerId, namedAtMs }: PlacedJob): boolean {
    const { steadyMs, silentMs } = this.#options;
    const sighting = this.#seen.get(keyOf(endpoint, workerId));
    const heardAtMs = sighting?.hasPinged ? namedAtMs : (sighting?.seenAtMs ?? 0);
    return steadyMs() - heardAtMs > silentMs;
  }

  /** Endpoints of which a container has been heard of lately. */
  endpoints(): ReadonlySet<string> {
    const { steadyMs, silentMs } = this.#options;
    const lately = [...this.#seen].filter(([, { seenAtMs }]) => steadyMs() - seenAtMs < silentMs);
    return new Set(lately.map(([key]) => key.slice(0, key.indexOf("/"))));
  }

  /** @param busy the containers of the endpoint that have jobs, by `keyOf` */
  counts(endpoint: string, busy: ReadonlySet<string>) {
    const { steadyMs, silentMs } = this.#options;
    const prefix = keyOf(endpoint, "");
    const all = [...this.#seen].filter(
      ([key, { seenAtMs }]) => key.startsWith(prefix) && steadyMs() - seenAtMs < silentMs,
    );
    // Those whose takes name none are known by their pings, if they send any.
    const named = all.filter(([key]) => key !== prefix);
    const seen = named.length > 0 ? named : all;
    const running = seen.filter(([key]) => busy.has(key)).length;
    const unhealthy = seen.filter(([, { isUnhealthy }]) => isUnhealthy).length;
    const idle = seen.length - running - unhealthy;
    return { idle, initializing: 0, ready: idle, running, throttled: 0, unhealthy };
  }

  /** One that comes back is as a new one. @param busy those that have jobs, by `keyOf` */
  forgetSilent(busy: ReadonlySet<string>): void {
    const { steadyMs, silentMs } = this.#options;
    for (const [key, { seenAtMs }] of this.#seen) {
      if (steadyMs() - seenAtMs > silentMs && !busy.has(key)) this.#seen.delete(key);
    }
  }
}

/** @param workerId null: a container whose address names none */
export function keyOf(endpoint: string, workerId: string | null): string {
  return `${endpoint}/${workerId ?? ""}`;
}
