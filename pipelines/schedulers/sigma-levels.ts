import type { Levels } from "./base-schedule.ts";
import { alphasCumprod, type NoiseScheduleConfig, trainingSigmas } from "./noise-schedule.ts";
import {
  interpolate,
  respacedSigmas,
  type SigmaSpacing,
  spacedTimesteps,
  type TimestepSpacing,
  timestepOfSigma,
} from "./spacing.ts";

/** Sigmas of all training timesteps, rising, with what is looked up in them. */
export class SigmaTable {
  readonly sigmas: Float32Array;
  readonly #logSigmas: Float32Array;

  constructor(config: NoiseScheduleConfig) {
    this.sigmas = trainingSigmas(alphasCumprod(config));
    this.#logSigmas = this.sigmas.map(Math.log);
  }

  /** log σ of all training timesteps, in float32. */
  get logSigmas(): Float32Array {
    return this.#logSigmas;
  }

  /** The smallest: of a run that does not end at 0. */
  get smallest(): number {
    return this.sigmas[0] ?? 0;
  }

  at(timestep: number): number {
    return interpolate(this.sigmas, timestep);
  }

  timestepOf(sigma: number): number {
    return timestepOfSigma(sigma, this.#logSigmas);
  }
}

/** Timesteps and sigmas of a run, without what follows the last step. In float64: what is computed of them rounds. */
export interface WideLevels {
  readonly timesteps: Float64Array;
  readonly sigmas: Float64Array;
}

/** As the samplers of k-diffusion lay them out: spaced by timestep, then perhaps spread anew between the ends. */
export function spacedLevels(config: TimestepSpacing & SigmaSpacing, table: SigmaTable, count: number): WideLevels {
  const timesteps = Float64Array.from(spacedTimesteps(config, count));
  const base = timesteps.map((timestep) => table.at(timestep));
  const sigmas = respacedSigmas(config, base, count);
  return { sigmas, timesteps: sigmas === base ? timesteps : sigmas.map((sigma) => table.timestepOf(sigma)) };
}

/** In float32, with the sigma that the last step ends at. */
export function withLast({ timesteps, sigmas }: WideLevels, last: number): Levels {
  return { timesteps: Float32Array.from(timesteps), sigmas: Float32Array.of(...sigmas, last) };
}
