import { setTimeout as wait } from "node:timers/promises";

/** Waits. @throws the signal's own reason when it is aborted, where the timer of Node would throw an error of its own */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });
}
