/**
 * What `run` resolves with.
 * @param what is said of a wait that is over, such as "the first job is not through"
 * @throws Error when that takes longer than `seconds`; `run` is told by its signal
 */
export async function limited<Value>(
  seconds: number,
  what: string,
  run: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const over = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new Error(`${what} after ${seconds} seconds`);
    reject(error);
    over.abort(error);
  }, seconds * 1000);
  try {
    return await Promise.race([run(over.signal), promise]);
  } finally {
    clearTimeout(timer);
  }
}
