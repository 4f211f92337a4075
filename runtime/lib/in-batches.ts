import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * Repeats a piece of work that handles up to `size` things until it finds fewer, with a turn of the event loop after each,
 * in which whatever else waits is done. Resolves with how many things there were.
 */
export async function inBatches(size: number, work: (size: number) => Promise<number>): Promise<number> {
  for (let total = 0; ; ) {
    const done = await work(size);
    total += done;
    if (done < size) return total;
    await nextTurn();
  }
}
