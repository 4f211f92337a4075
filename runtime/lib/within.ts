/** Waits for the promise, but no longer than `limitMs`; rejects as the promise does. */
export async function within(limitMs: number, promise: Promise<unknown>): Promise<void> {
  const { promise: limit, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limitMs);
  try {
    await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Reason for ending a wait that lost a race. Without a reason, `abort()` makes an error with a stack trace each time. */
export const waitIsOver = "the wait is over";
