/** Where on the training schedule the steps of a run lie. */

export interface TimestepSpacing {
  readonly num_train_timesteps: number;
  readonly timestep_spacing: "linspace" | "leading" | "trailing";
  readonly steps_offset: number;
}

export interface SigmaSpacing {
  readonly use_karras_sigmas?: boolean | null | undefined;
  readonly use_exponential_sigmas?: boolean | null | undefined;
  readonly sigma_min?: number | null | undefined;
  readonly sigma_max?: number | null | undefined;
}

/** Timesteps of a run, from noise to image (table 2 of Lin et al., 2023, with NumPy's rounding). */
export function spacedTimesteps(config: TimestepSpacing, count: number): Float32Array {
  const trained = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case "linspace": {
      const step = count > 1 ? (trained - 1) / (count - 1) : 0;
      return Float32Array.from({ length: count }, (_, index) => (count - 1 - index) * step);
    }
    case "leading": {
      const ratio = Math.floor(trained / count);
      return Float32Array.from({ length: count }, (_, index) => (count - 1 - index) * ratio + config.steps_offset);
    }
    case "trailing": {
      // np.arange(trained, 0, -ratio). Where the ratio is not exact this yields one step more than requested at a few
      // counts (61, 103, 121 … of 1000), and so it does in diffusers.
      const ratio = trained / count;
      const delta = trained - ratio - trained;
      const length = Math.ceil(-trained / -ratio);
      return Float32Array.from({ length }, (_, index) => roundHalfEven(trained + index * delta) - 1);
    }
  }
}

/**
 * Sigmas spread anew between the largest and the smallest: by σ^(1/ρ), ρ = 7 (Karras et al., 2022, equation 5), or by
 * log σ. Without either, the same array.
 */
export function respacedSigmas(config: SigmaSpacing, sigmas: Float64Array, count: number): Float64Array {
  const maximum = config.sigma_max ?? sigmas[0] ?? 0;
  const minimum = config.sigma_min ?? sigmas[sigmas.length - 1] ?? 0;
  const spread = (from: number, to: number, shape: (value: number) => number) =>
    Float64Array.from({ length: count }, (_, index) => {
      const ramp = count > 1 ? index / (count - 1) : 0;
      return shape(from + ramp * (to - from));
    });
  const rho = 7;
  if (config.use_karras_sigmas) return spread(maximum ** (1 / rho), minimum ** (1 / rho), (root) => root ** rho);
  if (config.use_exponential_sigmas) return spread(Math.log(maximum), Math.log(minimum), Math.exp);
  return sigmas;
}

/** Value of a table at a fractional index, clamped to its ends (`np.interp`). */
export function interpolate(table: Float32Array, position: number): number {
  const clamped = Math.min(Math.max(position, 0), table.length - 1);
  const low = Math.floor(clamped);
  const lowValue = table[low] ?? 0;
  const slope = (table[low + 1] ?? lowValue) - lowValue;
  return slope * (clamped - low) + lowValue;
}

/** The fractional timestep whose training sigma is `sigma`, by linear interpolation of the logarithms. */
export function timestepOfSigma(sigma: number, logSigmas: Float32Array): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10));
  let low = 0;
  while (low < logSigmas.length - 2 && (logSigmas[low + 1] ?? 0) <= logSigma) low++;
  const lowValue = logSigmas[low] ?? 0;
  const highValue = logSigmas[low + 1] ?? lowValue;
  const weight = Math.min(Math.max((lowValue - logSigma) / (lowValue - highValue), 0), 1);
  return (1 - weight) * low + weight * (low + 1);
}

/** Rounds as IEEE 754 and NumPy do: a half goes to the even neighbour. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
