import { retryDelaySeconds } from "#runtime/lib/backoff.ts";

const pauses = { baseSeconds: 1, maxSeconds: 60 };

/** How long to wait after so many failures in a row, in milliseconds: doubles from a second to a minute, spread at random. */
export function retryPauseMs(failures: number, random: () => number): number {
  return retryDelaySeconds(failures, pauses.baseSeconds, pauses.maxSeconds, random) * 1000;
}
