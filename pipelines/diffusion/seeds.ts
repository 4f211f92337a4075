/**
 * One seed per result: result i uses `seed + i`.
 * @param seed drawn at random below 2^32 when absent
 */
export function seedsFrom(seed: number | undefined, count: number): number[] {
  const first = seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return Array.from({ length: count }, (_, index) => first + index);
}
