import fc from "fast-check";
import { expect, test } from "vitest";
import { retryDelaySeconds } from "./backoff.ts";

const attempts = fc.integer({ min: 1, max: 2000 });
const seconds = fc.double({ min: 0, max: 3600, noNaN: true });
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("doubles from the base", () => {
  const delays = [1, 2, 3, 4].map((attempt) => retryDelaySeconds(attempt, 2, 300, () => 1));
  expect(delays).toEqual([2, 4, 8, 16]);
});

test("stays between half the pause and the maximum, however many attempts there were", () => {
  fc.assert(
    fc.property(attempts, seconds, seconds, share, (attempt, base, max, random) => {
      const delay = retryDelaySeconds(attempt, base, max, () => random);
      expect(delay).toBeGreaterThanOrEqual(Math.min(base, max) / 2);
      expect(delay).toBeLessThanOrEqual(max);
    }),
  );
});

test("grows with the attempt and with the random number", () => {
  fc.assert(
    fc.property(attempts, seconds, seconds, share, share, (attempt, base, max, one, other) => {
      const [low, high] = one < other ? [one, other] : [other, one];
      const delay = retryDelaySeconds(attempt, base, max, () => low);
      expect(retryDelaySeconds(attempt, base, max, () => high)).toBeGreaterThanOrEqual(delay);
      expect(retryDelaySeconds(attempt + 1, base, max, () => low)).toBeGreaterThanOrEqual(delay);
    }),
  );
});
