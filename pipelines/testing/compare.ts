/** Largest absolute difference of two lists of numbers; infinite when their lengths differ. */
export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let largest = 0;
  for (let index = 0; index < actual.length; index++) {
    const difference = Math.abs((actual[index] ?? Number.NaN) - (expected[index] ?? Number.NaN));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** Mean absolute difference of two lists of equal length. */
export function meanDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < actual.length; index++) sum += Math.abs((actual[index] ?? 0) - (expected[index] ?? 0));
  return sum / actual.length;
}
