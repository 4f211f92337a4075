import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { fixturesFolder, type GoldenRun, goldenDifference, readGoldenRuns } from "./golden-runs.ts";

export const goldenRuns = readGoldenRuns(fixturesFolder);

/**
 * What a run of a class may differ by. A Brownian path is asked for at exponentials of logarithms of sigmas, cut to six
 * decimals: the last bit of torch's functions, which depends on the CPU, moves that by 1e-6, where the path is 1e-3 away.
 */
export function goldenLimit(className: string): number {
  return className === "DPMSolverSDEScheduler" ? 2e-3 : 1e-5;
}

export const schedulerFidelity: FidelityArea = {
  title: "Schedulers",
  difference:
    "Largest difference of any sample of any step, over the sample's largest value where that is above 1; runs of 8, 15, 25 and 50 steps with a model that is a formula, noise by torch's CPU generator.",
  cases: [...Map.groupBy(goldenRuns, ({ class_name }) => class_name)].map(([className, runs]) => ({
    setting: `\`${className}\`: ${settingsOf(runs)} settings`,
    reference: `diffusers' \`${className}\``,
    limit: goldenLimit(className),
    measure: () => Math.max(...runs.map(goldenDifference)),
  })),
};

function settingsOf(runs: readonly GoldenRun[]): number {
  return new Set(runs.map(({ config, eta, begin }) => JSON.stringify([config, eta, begin > 0]))).size;
}
