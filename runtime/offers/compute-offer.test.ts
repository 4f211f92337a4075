import { describe, expect, it } from "vitest";
import { computeOffer, isCovered, type OfferFacts } from "./compute-offer.ts";

const sound = (folder: string) => ({ folder, problems: [], signature: "1" });
const facts: OfferFacts = {
  handlers: [{ type: "count" }, { type: "paint", model: "painter" }, { type: "sketch", model: "sketcher" }],
  models: new Map([
    ["tiny", sound("tiny")],
    ["painter", sound("tiny")],
    ["sketcher", { folder: "sketcher", problems: ["cut off"], signature: "1" }],
  ]),
  withheld: { worker: false, types: new Set(), models: new Set() },
};
const withholding = (withheld: Partial<OfferFacts["withheld"]>) =>
  computeOffer({ ...facts, withheld: { ...facts.withheld, ...withheld } });

describe("the offer", () => {
  it("has the types whose handlers work, the models that are in order by all their names, and which go without a name", () => {
    expect(computeOffer(facts)).toEqual({
      types: ["count", "paint", "sketch"],
      defaultModelTypes: ["count", "paint"],
      models: ["painter", "tiny"],
    });
  });

  it("leaves out what is withheld: a type, a model with all its names, or everything", () => {
    expect(withholding({ types: new Set(["paint"]) }).types).toEqual(["count", "sketch"]);
    expect(withholding({ models: new Set(["tiny"]) })).toMatchObject({ defaultModelTypes: ["count"], models: [] });
    expect(withholding({ worker: true })).toEqual({ types: [], defaultModelTypes: [], models: [] });
  });
});

it.each([
  [{ type: "paint" }, true],
  [{ type: "paint", model_variant: null }, true],
  [{ type: "sketch" }, false],
  [{ type: "sketch", model_variant: "tiny" }, true],
  [{ type: "paint", model_variant: "sketcher" }, false],
  [{ type: "paint", model_variant: "unheard" }, false],
  [{ type: "weave" }, false],
])("%o is covered: %s", (job, covered) => {
  expect(isCovered(computeOffer(facts), job)).toBe(covered);
});
