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
