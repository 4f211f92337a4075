/**
 * The quantile of the symmetric beta distribution with α = β = `shape`: `scipy.stats.beta.ppf(probability, shape, shape)`,
 * within 1e-9 for shapes from 0.5 to 1.
 */
export function betaQuantile(probability: number, shape: number): number {
  if (probability <= 0) return 0;
  if (probability >= 1) return 1;
  // The distribution is symmetric: the lower half is enough, and there the integral is taken of t = u^(1/shape), where the
  // density has no pole.
  if (probability > 0.5) return 1 - betaQuantile(1 - probability, shape);
  const highest = 0.5 ** shape;
  const target = probability * 2 * lowerIntegral(highest, shape);
  // The integral is convex: from the upper end Newton's method comes down to the solution and never jumps over it.
  let u = highest;
  for (let round = 0; round < 50; round++) {
    const slope = (1 - u ** (1 / shape)) ** (shape - 1) / shape;
    const next = u - (lowerIntegral(u, shape) - target) / slope;
    if (!(next < u)) break;
    u = next;
  }
  return Math.max(u, 0) ** (1 / shape);
}

/** ∫ t^(shape−1)·(1 − t)^(shape−1) dt from 0 to u^(1/shape): with t = v^(1/shape) it is ∫ (1 − t)^(shape−1)/shape dv. */
function lowerIntegral(u: number, shape: number): number {
  let sum = 0;
  for (const [node, weight] of gaussLegendre) {
    for (const side of [-1, 1]) {
      const v = (u * (1 + side * node)) / 2;
      sum += weight * (1 - v ** (1 / shape)) ** (shape - 1);
    }
  }
  return (sum * u) / 2 / shape;
}

/** Nodes and weights of the rule of 20 points, of which the other half is the mirror image. */
const gaussLegendre: readonly (readonly [number, number])[] = legendreRule(20);

/** Zeros of the Legendre polynomial by Newton's method (Press et al., "Numerical Recipes", section 4.6). */
function legendreRule(points: number): [number, number][] {
  return Array.from({ length: points / 2 }, (_, index) => {
    let x = Math.cos((Math.PI * (index + 0.75)) / (points + 0.5));
    let slope = 1;
    for (let round = 0; round < 100; round++) {
      let [value, before] = [1, 0];
      for (let degree = 0; degree < points; degree++) {
        [value, before] = [((2 * degree + 1) * x * value - degree * before) / (degree + 1), value];
      }
      slope = (points * (x * value - before)) / (x * x - 1);
      const next = x - value / slope;
      if (next === x) break;
      x = next;
    }
    return [x, 2 / ((1 - x * x) * slope * slope)];
  });
}
