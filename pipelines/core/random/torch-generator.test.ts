import { expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { TorchGenerator } from "./torch-generator.ts";

/** torch's last bits depend on the CPU's vector instructions. */
const tolerance = 1e-6;

const references = [...readSafetensors(new URL("../../sdxl/fixtures/randn.safetensors", import.meta.url))];

it.each(references.filter(([name]) => !name.includes("draw")))("draws what torch draws: %s", (name, { data }) => {
  const seed = Number(name.match(/^seed(\d+)/)?.[1]);
  expect(maxDifference(new TorchGenerator(seed).randn(data.length), data)).toBeLessThanOrEqual(tolerance);
});

const sequences = Map.groupBy(
  references.filter(([name]) => name.includes("draw")),
  ([name]) => Number(name.match(/^seed(\d+)/)?.[1]),
);

it.each([...sequences])("goes on where the draw before ended, its spare normal included: seed %i", (seed, draws) => {
  const generator = new TorchGenerator(seed);
  for (const [name, { data }] of draws.toSorted(([a], [b]) => a.localeCompare(b))) {
    expect(maxDifference(generator.randn(data.length), data), name).toBeLessThanOrEqual(tolerance);
  }
});

it("has references for seeds beyond 32 bits and sizes around the block of 16", () => {
  const names = references.map(([name]) => name);
  expect(names).toEqual(
    expect.arrayContaining(["seed9007199254740992.size1000", "seed42.size15", "seed42.size16", "seed42.size17"]),
  );
  expect(sequences.size).toBeGreaterThan(3);
});
