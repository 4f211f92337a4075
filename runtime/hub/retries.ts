import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import { PassingFault, unreachableError } from "./hub-errors.ts";
import type { HubLimits } from "./hub-settings.ts";
import { pause } from "./pause.ts";

/** No server is waited for longer, whatever it asks for. */
const maxRetryAfterSeconds = 600;

/**
 * Runs `attempt` until it ends without a {@link PassingFault}. Tries count from the last one that got anywhere: a transfer of
 * hours may break off a hundred times.
 *
 * @param attempt returns its result; says with `moved` that it has got on
 * @throws CodedError HUB_UNREACHABLE after `limits.tries` in a row that got nowhere; whatever else `attempt` throws
 */
export async function withRetries<Result>(
  { limits, host, signal }: { readonly limits: HubLimits; readonly host: string; readonly signal: AbortSignal },
  attempt: (moved: () => void) => Promise<Result>,
): Promise<Result> {
  for (let failures = 0; ; ) {
    signal.throwIfAborted();
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PassingFault)) throw error;
      failures++;
      if (failures >= limits.tries) throw unreachableError(host, error);
      const wanted = error.retryAfterSeconds;
      const seconds =
        wanted === undefined
          ? retryDelaySeconds(failures, limits.retryBaseSeconds, limits.retryMaxSeconds)
          : Math.min(wanted, maxRetryAfterSeconds);
      await pause(seconds * 1000, signal);
    }
  }
}
