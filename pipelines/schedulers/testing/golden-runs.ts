import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { NoiseSource } from "#pipelines/diffusion/noise.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { createScheduler } from "../index.ts";
import type { Schedule } from "../scheduler.ts";

const seeds = [11, 12];
const imageSize = 16;
const size = seeds.length * imageSize;
/** What is kept of each sample beside its weighted mean. */
const kept = [0, 9, 21];
const columns = kept.length + 2;

const golden = z.array(
  z.object({
    class_name: z.string(),
    config: z.record(z.string(), z.unknown()),
    steps: z.int(),
    eta: z.number().optional(),
    begin: z.int().default(0),
    calls: z.int(),
  }),
);

export interface GoldenRun extends z.output<typeof golden.element> {
  /** Rows of the reference: timestep, kept values, weighted mean. */
  readonly rows: Float32Array;
}

export const fixturesFolder = fileURLToPath(new URL("../fixtures", import.meta.url));

/** Reads `runs.json` and `runs.safetensors`, as `tools/reference/make_scheduler_fixtures.py` writes them. */
export function readGoldenRuns(folder: string): GoldenRun[] {
  const cases = golden.parse(JSON.parse(readFileSync(join(folder, "runs.json"), "utf8")));
  const rows = readSafetensors(join(folder, "runs.safetensors")).get("rows");
  if (!(rows?.data instanceof Float32Array)) throw new Error(`there are no rows in ${folder}`);
  const { data } = rows;
  let start = 0;
  return cases.map((each) => {
    const from = start;
    start += each.calls * columns;
    return { ...each, rows: data.subarray(from, start) };
  });
}

/**
 * The largest difference of any sample's values to the reference, over the sample's largest value where that is above 1;
 * infinite where the calls or their timesteps differ.
 */
export function goldenDifference({ class_name, config, steps, eta, begin, rows }: GoldenRun): number {
  const schedule = createScheduler(class_name, config, "reference", { eta }).schedule(steps);
  let worst = 0;
  let row = 0;
  for (const { timestep, sample } of runGolden(schedule, begin * schedule.order)) {
    const expected = rows.subarray(row * columns, ++row * columns);
    if (!(Math.abs(timestep - (expected[0] ?? Number.NaN)) <= 2e-3)) return Infinity;
    const magnitude = sample.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    for (const [column, value] of probe(sample).entries()) {
      const difference = Math.abs(value - (expected[column + 1] ?? Number.NaN)) / magnitude;
      if (!(difference <= worst)) worst = difference;
    }
  }
  return row * columns === rows.length ? worst : Infinity;
}

function* runGolden(schedule: Schedule, first: number): Generator<{ timestep: number; sample: Float32Array }> {
  schedule.begin({ stepIndex: first, imageSize });
  const source = new NoiseSource(seeds);
  const sample = source.draw([imageSize]).data;
  if (first > 0) schedule.addNoise(image, sample, first, sample);
  else for (let index = 0; index < size; index++) sample[index] = (sample[index] ?? 0) * schedule.initNoiseSigma;
  const input = new Float32Array(size);
  for (const [offset, timestep] of schedule.timesteps.subarray(first).entries()) {
    const index = first + offset;
    schedule.scaleModelInput(sample, index, input);
    const output = input.map((x, k) => Math.tanh(0.8 * x + 0.3 * Math.sin(k) + timestep / 4000));
    schedule.step(output, index, sample, sample, source.forStep(schedule.noiseFor(index), [imageSize]));
    yield { timestep, sample };
  }
}

/** What a run that begins in the middle begins with. */
const image = Float32Array.from({ length: size }, (_, index) => Math.sin(index % imageSize));

function probe(sample: Float32Array): number[] {
  const mean = sample.reduce((sum, value, index) => sum + value * Math.cos(index), 0) / size;
  return [...kept.map((index) => sample[index] ?? 0), mean];
}
