import { expect, it, onTestFinished } from "vitest";
import type { CodedError } from "#contract/errors.ts";
import type { Offer } from "#runtime/sources/job-source.ts";
import type { Unfitness } from "#runtime/sources/source-definition.ts";
import { watchFitness } from "./fitness-watch.ts";
import type { ModelFetch } from "./model-fetches.ts";

const nothing: Offer = { types: ["lake_image"], defaultModelTypes: [], models: [] };
const fetch: ModelFetch = { name: "deep", repo: "lakes/deep", hereBytes: 0, totalBytes: 0, failure: null };

function watched(offer: Offer) {
  const all = new Map([["images", offer]]);
  const pending = new Map<string, ModelFetch>();
  const reported: Unfitness[] = [];
  const failed: CodedError[] = [];
  const reportUnfit = async (problem: Unfitness) => void reported.push(problem);
  const stop = watchFitness({
    offers: { all, conditions: [] },
    fetches: { pending },
    sources: [{}, { reportUnfit }],
    fail: (error) => failed.push(error),
    lookEveryMs: 1,
  });
  onTestFinished(stop);
  return { all, pending, reported, failed };
}

const aWhile = () => new Promise((resolve) => setTimeout(resolve, 60));

it("a container that can run nothing reports it, once, and ends", async () => {
  const { reported, failed } = watched(nothing);
  await expect.poll(() => failed).toMatchObject([{ code: "NOT_READY" }]);
  await aWhile();
  expect(reported).toEqual([
    { check: "offers", reason: "The container can run no job. No model of its job types is here and loads." },
  ]);
  expect(failed).toHaveLength(1);
});

it("one that can run something, or to which a model is coming, goes on until that is over", async () => {
  const { all, pending, reported, failed } = watched({ ...nothing, models: ["deep"] });
  await aWhile();
  pending.set("deep", fetch);
  all.set("images", nothing);
  await aWhile();
  expect(reported).toEqual([]);
  pending.clear();
  await expect.poll(() => failed.length).toBe(1);
});
