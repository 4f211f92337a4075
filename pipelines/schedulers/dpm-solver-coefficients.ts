import type { SolverLevel } from "./multistep-schedule.ts";

export type DpmAlgorithm = "dpmsolver" | "dpmsolver++" | "sde-dpmsolver" | "sde-dpmsolver++";

/** The step from one level to the next: sample·x + newest·m₀ + first·D₁ + second·D₂ + noise·z. */
export interface DpmFactors {
  readonly sample: number;
  readonly newest: number;
  /** Of the first and the second difference quotient of the predictions. */
  readonly first: number;
  readonly second: number;
  readonly noise: number;
}

/**
 * Exponential integrators of the probability-flow equation, or of the stochastic one, in what the model predicts: noise
 * (Lu et al., "DPM-Solver", 2022) or image ("DPM-Solver++", 2022, appendix B; for the stochastic ones algorithm 4).
 * @param order of the step: higher terms are 0
 * @param isHeun whether order 2 is integrated exactly; else half of m₀'s factor is taken
 */
export function dpmFactors(
  algorithm: DpmAlgorithm,
  from: SolverLevel,
  to: SolverLevel,
  order: number,
  isHeun: boolean,
): DpmFactors {
  const h = Math.fround(to.lambda - from.lambda);
  const isExact = order === 3 || isHeun;
  const terms = (growth: number, at: number, weight: number, halfOfNewest: number) => ({
    newest: -weight * growth,
    first: order === 1 ? 0 : isExact ? -weight * (growth / at - 1) : halfOfNewest,
    second: order === 3 ? -weight * ((growth - at) / at ** 2 - 0.5) : 0,
  });
  const sampleRatio = Math.fround(to.sigma / from.sigma);
  switch (algorithm) {
    case "dpmsolver++": {
      const decay = grown(-h);
      const { newest, first, second } = terms(decay, -h, to.alpha, -0.5 * to.alpha * decay);
      return { sample: sampleRatio, newest, first, second, noise: 0 };
    }
    case "sde-dpmsolver++": {
      const decay = grown(-2 * h);
      const { newest, first } = terms(decay, -2 * h, to.alpha, -0.5 * to.alpha * decay);
      // The integral has + 0.5 here. Equal pictures are worth more than the better formula.
      const second = order === 3 ? to.alpha * ((-decay - 2 * h) / (2 * h) ** 2 - 0.5) : 0;
      const noise = to.sigma * Math.sqrt(-decay);
      return { sample: sampleRatio * Math.fround(Math.exp(-h)), newest, first, second, noise };
    }
    case "dpmsolver": {
      const growth = grown(h);
      const { newest, first, second } = terms(growth, h, to.sigma, -0.5 * to.sigma * growth);
      return { sample: Math.fround(to.alpha / from.alpha), newest, first, second, noise: 0 };
    }
    case "sde-dpmsolver": {
      const growth = grown(h);
      const { newest, first, second } = terms(growth, h, 2 * to.sigma, -to.sigma * growth);
      const noise = to.sigma * Math.sqrt(grown(2 * h));
      return { sample: Math.fround(to.alpha / from.alpha), newest, first, second, noise };
    }
  }
}

/** eˣ − 1, rounded to float32 as diffusers has it. */
function grown(exponent: number): number {
  return Math.fround(Math.fround(Math.exp(exponent)) - 1);
}
