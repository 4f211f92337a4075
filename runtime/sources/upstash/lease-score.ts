/** A lease's score in the timetable, as lib/moments.lua reads it: when it runs out, and the progress in the fraction. */
export function leaseScore(expiresAtMs: number, progress: number | undefined): number {
  if (progress === undefined) return expiresAtMs;
  return expiresAtMs + (Math.round(progress * 1000) + 1) / 2048;
}
