import { describe, expect, test } from "vitest";
import { type Offer, offerTtlSeconds } from "#runtime/sources/job-source.ts";
import {
  enqueue,
  failure,
  fill,
  makeJob,
  recordOf,
  result,
  type Side,
  type Suite,
  take,
  takeOne,
  worker,
} from "./harness.ts";

/** The job type of `enqueue`. */
const type = "sdxl_image_fast";
const other = "sdxl_image_high";
const everything: Offer = { types: [type, other], defaultModelTypes: [type, other], models: ["base", "tiny"] };
/** Runs the one type with its own model, and with `tiny`. */
const modest: Offer = { types: [type], defaultModelTypes: [type], models: ["tiny"] };

async function takenIds(side: Side, offer: Offer, slots = 9, heldModels: readonly string[] = []): Promise<string[]> {
  const { leases } = await side.source.take([{ worker, slots, offer, heldModels }]);
  return leases.map(({ jobId }) => jobId);
}

export function describeOffering(suite: Suite): void {
  const { records } = suite.capabilities;
  describe("take with an offer", () => {
    describeTaking(suite);
    describeOrder(suite);
  });
  describe.skipIf(!records)("jobs that no container offers to run", () => describeUnoffered(suite));
}

function describeTaking(suite: Suite): void {
  test.each<[string, Readonly<Record<string, unknown>>, Offer, boolean]>([
    ["its type, without a model", {}, modest, true],
    ["its type and its model", { model_variant: "tiny" }, modest, true],
    ["another type", { type: other }, modest, false],
    ["another model", { model_variant: "base" }, modest, false],
    ["its type, but not without a model", {}, { ...modest, defaultModelTypes: [] }, false],
    ["its type and model, not without one", { model_variant: "tiny" }, { ...modest, defaultModelTypes: [] }, true],
    ["its model, not its type", { type: other, model_variant: "tiny" }, modest, false],
    ["nothing", {}, { types: [], defaultModelTypes: [], models: [] }, false],
  ])("of %s", async (_what, fields, offer, isTaken) => {
    await enqueue(suite.harness(), "a", fields);
    expect(await takenIds(suite.harness(), offer)).toEqual(isTaken ? ["a"] : []);
  });

  test.skipIf(!suite.capabilities.shared)(
    "leaves the others uncharged where they are, for whoever can run them",
    async () => {
      const able = await suite.harness().second();
      await enqueue(suite.harness(), "large", { model_variant: "base" });
      await enqueue(suite.harness(), "small");
      await enqueue(suite.harness(), "high", { type: other });
      const before = await recordOf(suite, "large");
      expect(await takenIds(suite.harness(), modest)).toEqual(["small"]);
      expect(await takenIds(suite.harness(), modest)).toEqual([]);
      const after = await recordOf(suite, "large");
      expect(after).toEqual(before);
      await enqueue(suite.harness(), "latest", { model_variant: "base" });
      const { leases } = await able.source.take([{ worker, slots: 9, offer: everything }]);
      expect(leases.map(({ jobId, attempt }) => [jobId, attempt])).toEqual([
        ["large", 1],
        ["high", 1],
        ["latest", 1],
      ]);
    },
  );

  test("asks for each worker what is offered for it", async () => {
    await enqueue(suite.harness(), "a");
    await enqueue(suite.harness(), "b", { type: other }, { worker: "wan" });
    await enqueue(suite.harness(), "c", {}, { worker: "wan" });
    const { leases } = await suite.harness().source.take([
      { worker, slots: 5, offer: { ...modest, types: [] } },
      { worker: "wan", slots: 5, offer: modest },
    ]);
    expect(leases.map(({ jobId }) => jobId)).toEqual(["c"]);
  });

  test("goes for jobs that come back to the queue too", async () => {
    const { source } = suite.harness();
    await enqueue(suite.harness(), "a", { model_variant: "base" });
    await source.release(await takeOne(suite.harness()));
    expect(await takenIds(suite.harness(), modest)).toEqual([]);
    await source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 0 });
    expect(await takenIds(suite.harness(), modest)).toEqual([]);
    expect(await takenIds(suite.harness(), everything)).toEqual(["a"]);
  });

  test("without one takes everything", async () => {
    await enqueue(suite.harness(), "a", { type: "a_type_of_tomorrow", model_variant: "base" });
    expect(await takenIds(suite.harness(), everything)).toEqual([]);
    expect(await take(suite.harness())).toMatchObject([{ jobId: "a" }]);
  });

  test.skipIf(!suite.capabilities.shared)("of two containers gives each what it can run, once", async () => {
    const able = await suite.harness().second();
    const models = ["base", "tiny", undefined, "base", "tiny", undefined];
    for (const [index, model_variant] of models.entries())
      await enqueue(suite.harness(), `${index}`, { model_variant });
    const [small, large] = [
      { ...modest, defaultModelTypes: [] },
      { ...everything, models: ["base"] },
    ];
    const rounds = [0, 1, 2].flatMap(() => [takenIds(suite.harness(), small, 2), takenIds(able, large, 2)]);
    const taken = (await Promise.all(rounds)).flat();
    expect(taken.toSorted()).toEqual(["0", "1", "2", "3", "4", "5"]);
  });
}

function describeOrder(suite: Suite): void {
  const { priorities, affinity, waiting } = suite.capabilities;

  test.skipIf(!waiting)(
    "keeps the order of age, also past more than a thousand jobs that it does not cover",
    {
      timeout: 120_000,
    },
    async () => {
      const foreign = Array.from({ length: 1200 }, (_, index) =>
        makeJob(`foreign-${index}`, { model_variant: `base-${index % 7}` }),
      );
      await fill(suite.harness(), foreign);
      for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
      expect(await takenIds(suite.harness(), modest, 2)).toEqual(["a", "b"]);
      expect(await takenIds(suite.harness(), modest, 2)).toEqual(["c"]);
      expect(await takenIds(suite.harness(), modest, 2)).toEqual([]);
      expect(await take(suite.harness())).toMatchObject([{ jobId: expect.stringContaining("foreign") }]);
    },
  );

  test.skipIf(!priorities)("keeps the order of priority", async () => {
    const jobs = { "foreign-high": 9, low: -5, first: 0, second: 0, high: 5, "foreign-first": 0 };
    for (const [id, priority] of Object.entries(jobs)) {
      await enqueue(suite.harness(), id, { priority, ...(id.startsWith("foreign") ? { model_variant: "base" } : {}) });
    }
    expect(await takenIds(suite.harness(), modest)).toEqual(["high", "first", "second", "low"]);
    expect(await takenIds(suite.harness(), everything)).toEqual(["foreign-high", "foreign-first"]);
  });

  test.skipIf(!affinity)("prefers held models among what it covers", async () => {
    await enqueue(suite.harness(), "foreign", { user_id: "ann", model_variant: "base" });
    await enqueue(suite.harness(), "no-model", { user_id: "ann" });
    await enqueue(suite.harness(), "held", { user_id: "ann", model_variant: "tiny" });
    expect(await takenIds(suite.harness(), modest, 9, ["tiny", "base"])).toEqual(["held", "no-model"]);
  });
}

function describeUnoffered(suite: Suite): void {
  const { delays } = suite.capabilities;
  const unoffered = async () => (await suite.harness().queue.stats()).flatMap((each) => each.unoffered);
  const announce = ({ source }: Side, offer: Offer) => source.announce?.(new Map([[worker, offer]]));
  const withdraw = ({ source }: Side) => source.announce?.(new Map());

  test("are all that are due when no container has announced anything", async () => {
    await enqueue(suite.harness(), "a");
    await enqueue(suite.harness(), "b", { model_variant: "base" });
    await suite.harness().grow(1000);
    await enqueue(suite.harness(), "c", { model_variant: "base" });
    const [first, second, ...more] = (await unoffered()).toSorted((a, b) => a.jobs - b.jobs);
    expect(more).toEqual([]);
    expect(first).toMatchObject({ type, model: null, served: false, jobs: 1 });
    expect(second).toMatchObject({ type, model: "base", served: false, jobs: 2 });
    expect(second?.oldestSeconds).toBeGreaterThanOrEqual(0.9);
  });

  test("are told from those that one does", async () => {
    const container = await suite.harness().second();
    await announce(container, modest);
    await enqueue(suite.harness(), "a");
    await enqueue(suite.harness(), "b", { model_variant: "base" });
    await enqueue(suite.harness(), "c", { type: other });
    const needs = (await unoffered()).map(({ oldestSeconds: _, ...need }) => need);
    expect(needs.toSorted((a, b) => (a.type < b.type ? -1 : 1))).toEqual([
      { type, model: "base", served: true, jobs: 1 },
      { type: other, model: null, served: true, jobs: 1 },
    ]);
    expect(await recordOf(suite, "a")).toMatchObject({ waitingFor: null });
    expect(await recordOf(suite, "b")).toMatchObject({ waitingFor: { type, model: "base" } });
    expect(await recordOf(suite, "c")).toMatchObject({ waitingFor: { type: other, model: null } });
    const listed = (await suite.harness().queue.list({ limit: 9 })).jobs.map((record) => record.waitingFor !== null);
    expect(listed).toEqual([true, true, false]);
  });

  test("say whether any container serves their worker", async () => {
    const container = await suite.harness().second();
    await enqueue(suite.harness(), "a");
    const isServed = async () => {
      const of = [...(await unoffered()), (await recordOf(suite, "a"))?.waitingFor];
      return of.map((need) => need?.served);
    };
    expect(await isServed()).toEqual([false, false]);
    await container.source.announce?.(new Map([["wan", everything]]));
    expect(await isServed()).toEqual([false, false]);
    await announce(container, { types: [], defaultModelTypes: [], models: [] });
    expect(await isServed()).toEqual([true, true]);
    await suite.harness().advance((offerTtlSeconds + 1) * 1000);
    expect(await isServed()).toEqual([false, false]);
    await announce(container, { ...everything, types: [other] });
    expect(await isServed()).toEqual([true, true]);
    await withdraw(container);
    expect(await isServed()).toEqual([false, false]);
  });

  test("need one container that has all that they need", async () => {
    await announce(suite.harness(), { types: [type], defaultModelTypes: [], models: ["tiny"] });
    await announce(await suite.harness().second(), { types: [other], defaultModelTypes: [], models: ["base"] });
    await enqueue(suite.harness(), "a", { model_variant: "base" });
    expect(await unoffered()).toMatchObject([{ type, model: "base", jobs: 1 }]);
  });

  test("are counted again when an offer is changed, withdrawn or not announced any more", async () => {
    const container = await suite.harness().second();
    await enqueue(suite.harness(), "a");
    await announce(container, modest);
    expect(await unoffered()).toEqual([]);
    await announce(container, { ...modest, types: [other] });
    expect(await unoffered()).toHaveLength(1);
    await announce(container, modest);
    await announce(suite.harness(), modest);
    await withdraw(container);
    expect(await unoffered()).toEqual([]);
    await suite.harness().advance((offerTtlSeconds + 1) * 1000);
    expect(await unoffered()).toMatchObject([{ type, model: null, jobs: 1 }]);
    await announce(container, modest);
    expect(await unoffered()).toEqual([]);
  });

  test.skipIf(!delays)("are not those that are not due, run, or have ended", async () => {
    await enqueue(suite.harness(), "ended");
    await suite.harness().source.complete(await takeOne(suite.harness()), result);
    await enqueue(suite.harness(), "running");
    await takeOne(suite.harness());
    await enqueue(suite.harness(), "delayed", {}, { delaySeconds: 60 });
    expect(await unoffered()).toEqual([]);
    for (const id of ["ended", "running"]) expect(await recordOf(suite, id)).toMatchObject({ waitingFor: null });
  });
}
