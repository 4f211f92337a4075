import type { Lease } from "#runtime/sources/job-source.ts";

/** A job that a container has been given, and has not ended yet. */
export interface Held {
  readonly lease: Lease;
  readonly endpoint: string;
  /** The container as its take has named it. */
  readonly taker: string | null;
  /** The same; of one that its take did not name, the name under which it has been heard of first. */
  workerId: string | null;
  /** By a clock that nobody sets. */
  readonly takenAtMs: number;
  /** When its container has named it last: by its take, a ping, or something of it that was posted. */
  namedAtMs: number;
  /** Until its time is over, or the next try to settle it. */
  timer: NodeJS.Timeout;
  progress: number | undefined;
  /** Until its end is written down, and settled or given a limited time for that; null while it has none. */
  settling: Promise<void> | null;
  /** No longer held. */
  readonly gone: PromiseWithResolvers<void>;
}
