import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { z } from "zod";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { choicesOf, penalize, TokenSampler } from "./sampler.ts";

/* Scores of a random Qwen2, what transformers' rules leave of them, and how often torch drew each token: 10,000 times. */
const cases = z
  .array(
    z.object({
      settings: z.object({
        temperature: z.number(),
        topK: z.number().optional(),
        topP: z.number().optional(),
        repetitionPenalty: z.number().optional(),
      }),
      past: z.array(z.number()),
      logits: z.array(z.number()),
      kept: z.array(z.tuple([z.number(), z.number(), z.number()])),
    }),
  )
  .parse(JSON.parse(await readFile(new URL("fixtures/sampling.json", import.meta.url), "utf8")));
const draws = 10_000;

/** How far counts are from what is expected, over all tokens; rare ones are taken together, as the test wants it. */
function chiSquare(counts: readonly number[], expected: readonly number[]): { value: number; degrees: number } {
  const bins: { count: number; expected: number }[] = [{ count: 0, expected: 0 }];
  for (const [index, mean] of expected.entries()) {
    const rare = bins[0];
    if (mean < 5 && rare) {
      rare.count += counts[index] ?? 0;
      rare.expected += mean;
    } else bins.push({ count: counts[index] ?? 0, expected: mean });
  }
  const used = bins.filter((bin) => bin.expected > 0);
  const value = used.reduce((sum, bin) => sum + (bin.count - bin.expected) ** 2 / bin.expected, 0);
  return { value, degrees: used.length - 1 };
}

/** The value that chi-square exceeds once in a thousand times (Wilson and Hilferty, 1931). */
function limit(degrees: number): number {
  const share = 2 / (9 * degrees);
  return degrees * (1 - share + 3.09 * Math.sqrt(share)) ** 3;
}

it.each(cases)(
  "keeps the tokens of transformers, as likely as there: $settings",
  ({ settings, past, logits, kept }) => {
    const scores = Float32Array.from(logits);
    penalize(scores, new Set(past), settings.repetitionPenalty ?? 1);
    const { tokens, weights, total } = choicesOf(scores, settings);
    expect(tokens).toEqual(kept.map(([token]) => token));
    for (const [index, [, probability]] of kept.entries())
      expect((weights[index] ?? 0) / total).toBeCloseTo(probability, 5);
  },
);

it.each(cases)("draws them as often as torch does: $settings", ({ settings, past, logits, kept }) => {
  const counts = new Map<number, number>();
  for (let seed = 0; seed < draws; seed++) {
    // Each draw is the first of its seed, so that seeds next to each other are shown to be independent too.
    const token = new TokenSampler(settings, seed, past).next(Float32Array.from(logits));
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  const ours = kept.map(([token]) => counts.get(token) ?? 0);
  expect(ours.reduce((sum, count) => sum + count, 0)).toBe(draws);
  const againstProbabilities = chiSquare(
    ours,
    kept.map(([, probability]) => probability * draws),
  );
  if (againstProbabilities.degrees > 0)
    expect(againstProbabilities.value).toBeLessThan(limit(againstProbabilities.degrees));
  // Two samples of the same size: each cell's variance is the sum of both.
  const theirs = kept.map(([, , count]) => count);
  const together = ours.map((count, index) => (count + (theirs[index] ?? 0)) / 2);
  const { value, degrees } = chiSquare(ours, together);
  if (degrees > 0) expect(2 * value).toBeLessThan(limit(degrees));
});

it("draws the numbers of one seed one after another", () => {
  const [one] = cases;
  if (one === undefined) throw new Error("no cases");
  const several = (seed: number) => {
    const sampler = new TokenSampler(one.settings, seed, one.past);
    return Array.from({ length: 20 }, () => sampler.next(Float32Array.from(one.logits)));
  };
  expect(several(4)).toEqual(several(4));
  expect(new Set(several(4)).size).toBeGreaterThan(5);
  expect(several(5)).not.toEqual(several(4));
});

it("takes torch's own uniform numbers", () => {
  const generator = new TorchGenerator(42);
  // torch.rand(1, generator=torch.Generator().manual_seed(42), dtype=torch.float64), four times.
  const expected = [0.05815448596142969, 0.06291016742457756, 0.12358607277440903, 0.05258016436107704];
  expect(expected.map(() => generator.uniform())).toEqual(expected);
});

it("takes the likeliest at temperature 0, and the first of equals", () => {
  const greedy = { temperature: 0 };
  expect(new TokenSampler(greedy, 0, []).next(Float32Array.of(-3, 2, 2, 1))).toBe(1);
  expect(new TokenSampler(greedy, 0, []).next(Float32Array.of(Number.NEGATIVE_INFINITY, -5))).toBe(1);
});

it("counts the tokens of the answer as repeated", () => {
  const sampler = new TokenSampler({ temperature: 0, repetitionPenalty: 2 }, 0, []);
  const next = () => sampler.next(Float32Array.of(3, 2, 1));
  expect([next(), next(), next()]).toEqual([0, 1, 0]);
});

it.each([
  [[1, Number.NaN, 0]],
  [[Number.POSITIVE_INFINITY, 0]],
  [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
])("refuses scores that are no numbers: %j", (scores) => {
  for (const temperature of [0, 1]) {
    const draw = () => new TokenSampler({ temperature }, 0, []).next(Float32Array.from(scores));
    expect(draw).toThrowError(expect.objectContaining({ code: "NUMERICAL_ERROR" }));
  }
});
