/*
 * The marks of executors (../watchdog/processes.ts) are numbers, of which each process that has executors draws a block for
 * itself: so what it has left behind is found when it is gone, and nobody else's.
 */
const blockSize = 4096;
/** A mark is an exact number, and no limit that anybody sets. */
export const owners = { first: 2 ** 32, last: 2 ** 40 } as const;

/** @param serial counts the owner's executors; after `blockSize` of them the numbers begin anew, when those are long gone */
export function markOf(owner: number, serial: number): string {
  return String(owner * blockSize + (serial % blockSize));
}

export function isMarkOf(owner: number, mark: string): boolean {
  return /^\d+$/.test(mark) && Math.floor(Number(mark) / blockSize) === owner;
}
