import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { modelNotFound } from "#pipelines/core/errors.ts";
import { PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { copyTinySdxl, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "./pipeline.ts";

let other: string;
beforeAll(() => {
  other = copyTinySdxl();
});
afterAll(() => rmSync(other, { recursive: true }));

const at =
  (path: string, version = "1") =>
  async () => ({ path, version });

/** A slot over real pipelines that records loads and disposals. */
function recordedSlot() {
  const events: string[] = [];
  const slot = new PipelineSlot(async (folder) => {
    events.push(`load ${folder}`);
    if (folder === "missing") throw modelNotFound("a config", folder);
    const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
    const dispose = pipeline.dispose.bind(pipeline);
    pipeline.dispose = () => {
      events.push(`dispose ${folder}`);
      return dispose();
    };
    return pipeline;
  });
  return { events, slot };
}

it("loads once, and reports how long that took", async () => {
  const { events, slot } = recordedSlot();
  expect(await slot.use(at(tinySdxl), async ({ loadSeconds }) => loadSeconds)).toBeGreaterThan(0);
  expect(await slot.use(at(tinySdxl), async ({ loadSeconds }) => loadSeconds)).toBe(0);
  expect(events).toEqual([`load ${tinySdxl}`]);
});

it("frees the old pipeline before it loads another", async () => {
  const { events, slot } = recordedSlot();
  expect(await slot.use(at(tinySdxl), async ({ freed }) => freed)).toBeUndefined();
  expect(await slot.use(at(other), async ({ freed }) => freed)).toBe("random-sdxl");
  expect(events).toEqual([`load ${tinySdxl}`, `dispose ${tinySdxl}`, `load ${other}`]);
});

it("has nothing loaded after a load that failed, and loads again", async () => {
  const { events, slot } = recordedSlot();
  await slot.use(at(tinySdxl), async () => undefined);
  await expect(slot.use(at("missing"), async () => undefined)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  await slot.use(at(tinySdxl), async () => undefined);
  expect(events).toEqual([`load ${tinySdxl}`, `dispose ${tinySdxl}`, "load missing", `load ${tinySdxl}`]);
});

it("frees a pipeline whose files were replaced, and loads the new ones", async () => {
  const { events, slot } = recordedSlot();
  await slot.use(at(tinySdxl), async () => undefined);
  expect(await slot.use(at(tinySdxl, "2"), async ({ freed }) => freed)).toBe("random-sdxl");
  expect(events).toEqual([`load ${tinySdxl}`, `dispose ${tinySdxl}`, `load ${tinySdxl}`]);
});

it("keeps nothing of a model that was replaced while it was loaded", async () => {
  const { events, slot } = recordedSlot();
  let version = 0;
  const changing = async () => ({ path: tinySdxl, version: String(version++) });
  await expect(slot.use(changing, async () => undefined)).rejects.toMatchObject({ code: "MODEL_INVALID" });
  await slot.use(at(tinySdxl), async () => undefined);
  expect(events).toEqual([`load ${tinySdxl}`, `dispose ${tinySdxl}`, `load ${tinySdxl}`]);
});

it("never frees a pipeline that is in use", async () => {
  const { events, slot } = recordedSlot();
  const work = async (name: string) => {
    events.push(`start ${name}`);
    await Promise.resolve();
    events.push(`end ${name}`);
    throw new Error("a failed use does not stop the next");
  };
  await Promise.allSettled([slot.use(at(tinySdxl), () => work("first")), slot.use(at(other), () => work("second"))]);
  expect(events).toEqual([
    `load ${tinySdxl}`,
    "start first",
    "end first",
    `dispose ${tinySdxl}`,
    `load ${other}`,
    "start second",
    "end second",
  ]);
});
