import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { shippedSdxl } from "#pipelines/testing/tiny-sdxl.ts";
import {
  TestEncoders,
  type WeightCase,
  weightCases,
  weightDifference,
  weightFidelity,
} from "./testing/weight-fidelity.ts";

let encoders: TestEncoders;
beforeAll(async () => {
  encoders = await TestEncoders.load();
});
afterAll(() => encoders.dispose());

const limit = weightFidelity.cases[0]?.limit ?? 0;
const job = (prompt: string): WeightCase => ({ name: "", prompt, terms: "", negative_prompt: null });

describe("a prompt with weights", () => {
  it("has its reference cases", () => {
    expect(weightCases.length).toBeGreaterThanOrEqual(40);
    expect(limit).toBeLessThanOrEqual(1e-5);
  });

  it.each(weightCases)("$name: equals compel", async (one) => {
    expect(await weightDifference(encoders, one)).toBeLessThanOrEqual(limit);
  });

  it("counts the tokens of the parts, and pads both prompts to the same chunks", async () => {
    const long = { ...job(`(snow)1.2 ${"pine trees ".repeat(50)}`), negative_prompt: "(fog)0.5" };
    const { positive, negative, chunks, promptTokens } = await encoders.encode(long);
    expect(chunks).toBeGreaterThan(1);
    expect(promptTokens).toBeGreaterThan(100);
    expect(negative?.hidden.dims).toEqual(positive.hidden.dims);
    expect(positive.hidden.dims[1]).toBe(77 * chunks);
  });

  it("leaves out layers of the positive prompt alone when clip skip says so", async () => {
    const one = { ...job("a (red)1.3 fox, (snow)0.4"), negative_prompt: "(fog)0.5" };
    const [whole, skipped] = [await encoders.encode(one), await encoders.encode(one, 1)];
    expect(maxDifference(whole.positive.hidden.data, skipped.positive.hidden.data)).toBeGreaterThan(1e-3);
    expect(maxDifference(whole.negative?.hidden.data ?? [], skipped.negative?.hidden.data ?? [])).toBe(0);
    await expect(encoders.encode(one, 9)).rejects.toMatchObject({ code: "INVALID_JOB" });
  });

  it("takes a weight of 1 for no weight", async () => {
    const [plain, one] = [
      await encoders.encode(job("a red fox snow+")),
      await encoders.encode(job("a (red)1.0 fox snow+")),
    ];
    expect(maxDifference(plain.positive.hidden.data, one.positive.hidden.data)).toBe(0);
  });
});

it("lowers weights in the shipped model too, whose file has float16 weights", async () => {
  const shipped = await TestEncoders.load(shippedSdxl);
  const statesOf = async (prompt: string) => (await shipped.encode(job(prompt))).positive.hidden.data;
  const none = await statesOf("a red apple, (blue)0");
  const distanceAt = async (weight: number) => maxDifference(none, await statesOf(`a red apple, (blue)${weight}`));
  const little = await distanceAt(0.3);
  const half = await distanceAt(0.6);
  const most = await distanceAt(0.99);
  await shipped.dispose();
  expect(little).toBeGreaterThan(1e-3);
  expect(half).toBeGreaterThan(little);
  expect(most).toBeGreaterThan(half);
});
