import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { z } from "zod";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { NoiseSource } from "./noise.ts";

const noiseCase = z.object({
  kind: z.enum(["cpu", "cuda"]),
  seed: z.number(),
  shape: z.array(z.int()),
  first: z.array(z.number()),
  last: z.array(z.number()),
  /** Σ value · (index mod 97 − 48) */
  weighted_sum: z.number(),
});

/** torch's own values of a CPU; those of a GPU from another Philox, in numpy. */
const cases = z
  .array(noiseCase)
  .parse(JSON.parse(readFileSync(new URL("fixtures/noise.json", import.meta.url), "utf8")));

/** The last bits depend on the CPU's vector instructions, or the GPU's fast sine. */
const tolerance = 2e-6;

const batches = Map.groupBy(cases, ({ kind, shape }) => `${kind}, ${shape.join(" × ")}`);

it.each([...batches])("draws for each seed of a batch what torch draws for it: %s", (_name, batch) => {
  const [{ kind = "cpu", shape = [] } = {}] = batch;
  const seeds = batch.map(({ seed }) => seed);
  const { data, dims } = new NoiseSource(seeds, kind).draw(shape);
  expect(dims).toEqual([seeds.length, ...shape]);
  const size = data.length / seeds.length;
  for (const [index, { seed, first, last, weighted_sum }] of batch.entries()) {
    const values = data.subarray(index * size, (index + 1) * size);
    expect(maxDifference(values.slice(0, first.length), first), `${seed}`).toBeLessThanOrEqual(tolerance);
    expect(maxDifference(values.slice(-last.length), last), `${seed}`).toBeLessThanOrEqual(tolerance);
    const sum = values.reduce((total, value, place) => total + value * ((place % 97) - 48), 0);
    // Rounding errors of single values go either way.
    expect(Math.abs(sum - weighted_sum), `${seed}`).toBeLessThan(1e-4 + tolerance * 48 * Math.sqrt(size));
  }
});

it("is checked for 30 seeds, beyond 32 bits too, in sizes around a block and beyond a GPU's threads", () => {
  expect(batches.size).toBe(14);
  const seedsOf = (kind: string) => new Set(cases.filter((each) => each.kind === kind).map(({ seed }) => seed));
  for (const kind of ["cpu", "cuda"]) {
    expect(seedsOf(kind).size).toBe(30);
    expect(seedsOf(kind)).toContain(2 ** 53);
  }
});
