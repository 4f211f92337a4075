import { PipelineError } from "#pipelines/core/errors.ts";

/**
 * Works on items in parts of at most `partSize`, in order. A part that runs out of memory is tried again in halves; one
 * item that does not fit fails.
 * @param run gets a part and the number of items done before it, and returns one result per item
 */
export async function runInParts<Item, Result>(
  items: readonly Item[],
  partSize: number,
  run: (part: readonly Item[], done: number) => Promise<readonly Result[]>,
): Promise<Result[]> {
  const results: Result[] = [];
  let size = Math.max(1, partSize);
  while (results.length < items.length) {
    const part = items.slice(results.length, results.length + size);
    try {
      results.push(...(await run(part, results.length)));
    } catch (error) {
      const isOutOfMemory = error instanceof PipelineError && error.code === "OUT_OF_MEMORY";
      if (!isOutOfMemory || part.length === 1) throw error;
      size = Math.ceil(part.length / 2);
    }
  }
  return results;
}
