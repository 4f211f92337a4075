import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkJob, type JobSchema } from "./check-job.ts";
import { listed, nearestSizes } from "./fields.ts";
import { ignoredFields } from "./ignored-fields.ts";
import { resolveParameters, unreadKeys } from "./parameters.ts";
import { describeProblems } from "./problems.ts";
import { schedulerNames } from "./scheduler-names.ts";
import { schemaOf } from "./schemas.ts";
import { sdxlGenerateParameters, sdxlJob, sdxlParameters, unusedSdxlFields } from "./sdxl.ts";
import { referenceDefaults } from "./sdxl-references.ts";
import { isGiven, type JsonObject } from "./synonyms.ts";

const base = { id: "job-1", type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: "user-1" };
const generate = { num_inference_steps: 20, guidance_scale: 6 };
const classic = {
  input: sdxlJob,
  parameters: sdxlParameters,
  defaults: generate,
  defaultsFor: referenceDefaults,
  unusedFields: unusedSdxlFields,
};
const pure = { input: sdxlJob, parameters: sdxlGenerateParameters, unusedFields: unusedSdxlFields };

function accepted(job: JsonObject, schema: JobSchema<typeof sdxlJob> = classic) {
  const result = checkJob(schema, { ...base, ...job });
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return result.value;
}

function refused(job: JsonObject, schema: JobSchema<typeof sdxlJob> = classic) {
  const result = checkJob(schema, { ...base, ...job });
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.value)}`);
  return result.problems;
}

/** What the job itself gives of the parameters, and the keys that nothing reads. */
function given(config: JsonObject): JsonObject {
  const explicit = accepted({ config }).config;
  const { values, tiers } = resolveParameters(sdxlParameters, { explicit, handler: generate });
  const fromJob = Object.entries(values).filter(([name]) => tiers[name] === "job");
  const unread = unreadKeys(sdxlParameters, config).map((name) => [name, config[name]]);
  return Object.fromEntries([...fromJob, ...unread]);
}

describe("what is not given stays absent", () => {
  it("assumes no parameter", () => {
    expect(accepted({})).toEqual({ ...base, priority: 0, config: {}, metadata: {} });
    expect(given({})).toEqual({});
  });

  it("takes null as not given, and 0 and an empty negative prompt as given", () => {
    const job = accepted({
      negative_prompt: "",
      compel_weights: null,
      image_id: null,
    });
    expect(given({ seed: 0, guidance_scale: 0, steps: null, width: null })).toEqual({ seed: 0, guidance_scale: 0 });
    expect(job).toMatchObject({ negative_prompt: "", image_id: null });
    expect(job.compel_weights).toBeUndefined();
  });

  it("keeps keys that it does not know", () => {
    const job = accepted({ trace: "t", config: { novelty: 1 }, metadata: { album: ["a"] } });
    expect(job).toMatchObject({ trace: "t", config: { novelty: 1 }, metadata: { album: ["a"] } });
  });
});

describe("synonyms", () => {
  it.each([
    [{ num_inference_steps: 20 }, { num_inference_steps: 20 }],
    [{ sample_steps: 20 }, { num_inference_steps: 20 }],
    [{ steps: 20 }, { num_inference_steps: 20 }],
    [{ steps: "25" }, { num_inference_steps: 25 }],
    [{ sample_guide_scale: 6.5 }, { guidance_scale: 6.5 }],
    [{ guidance_scale: "7.5" }, { guidance_scale: 7.5 }],
    [{ sample_solver: "Euler" }, { scheduler: "euler" }],
    [{ scheduler: "eulerdiscretescheduler" }, { scheduler: "EulerDiscreteScheduler" }],
    [{ size: "832*480" }, { width: 832, height: 480 }],
    [{ resolution: "832x480" }, { width: 832, height: 480 }],
    [{ resolution: " 832 X 480 " }, { width: 832, height: 480 }],
    [
      { width: 832, height: 480 },
      { width: 832, height: 480 },
    ],
    [
      { width: "832", height: "480" },
      { width: 832, height: 480 },
    ],
    [
      { width: 832, size: "832*480" },
      { width: 832, height: 480 },
    ],
    [{ num_images: "3" }, { num_images: 3 }],
    [{ refiner_switch_at: 0.7 }, { denoising_end: 0.7 }],
    [
      { denoising_start: "0.7", aesthetic_score: 7 },
      { denoising_end: 0.7, aesthetic_score: 7 },
    ],
  ])("%j is %j", (config, expected) => {
    expect(given(config)).toEqual(expected);
  });

  it.each([
    // The canonical name wins; the loser stays, so that it is listed among what nothing read.
    [
      { num_inference_steps: 25, steps: 20 },
      { num_inference_steps: 25, steps: 20 },
    ],
    [
      { sample_steps: 30, steps: 20 },
      { num_inference_steps: 30, steps: 20 },
    ],
    [
      { width: 512, height: 768, size: "1024*1024" },
      { width: 512, height: 768, size: "1024*1024" },
    ],
    [
      { size: "512*768", resolution: "1024x1024" },
      { width: 512, height: 768, resolution: "1024x1024" },
    ],
    [{ num_inference_steps: 20, steps: "20" }, { num_inference_steps: 20 }],
  ])("conflict %j is %j", (config, expected) => {
    expect(given(config)).toEqual(expected);
  });

  it.each([
    [{ reference_image_url: "https://files.test/a.png" }, "https://files.test/a.png"],
    [{ config: { reference_image_url: "https://files.test/b.png" } }, "https://files.test/b.png"],
    [{ metadata: { reference_image_url: "https://files.test/c.png" } }, "https://files.test/c.png"],
    [
      { metadata: { reference_image_url: "" }, config: { reference_image_url: "https://files.test/b.png" } },
      "https://files.test/b.png",
    ],
    [
      {
        metadata: { reference_image_url: "https://files.test/c.png" },
        config: { reference_image_url: "https://files.test/c.png" },
      },
      "https://files.test/c.png",
    ],
    [{ metadata: null, reference_image_url: "https://files.test/a.png" }, "https://files.test/a.png"],
  ])("%j has its reference in metadata", (job, value) => {
    expect(accepted(job).metadata.reference_image_url).toBe(value);
  });

  it("is settled after one pass: a parsed job parses to itself", () => {
    const names = ["num_inference_steps", "sample_steps", "steps", "width", "height", "num_images"] as const;
    const value = fc.constantFrom<unknown>(8, 64, 512, "512", 3, null, 0);
    const size = fc.constantFrom<unknown>("512*64", "64x512", "big", null);
    const config = fc.record(
      { ...Object.fromEntries(names.map((name) => [name, value])), size, resolution: size },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(config, (given) => {
        const first = checkJob(classic, { ...base, config: given });
        if (first.ok) expect(checkJob(classic, first.value)).toEqual(first);
        if (first.ok) expect(isGiven(first.value.config.width)).toBe(isGiven(first.value.config.height));
      }),
    );
  });
});

const sizeRule = "must be a multiple of 8 from 64 to 2048";
const stepRule = "must be a whole number from 1 to 150";
const schedulerRule = `must be ${listed(schedulerNames)}`;
const seedsRule = "must be at most 2^53 - 2 for 3 pictures: each one's seed is one more than the last";
const seedRule = "must be a whole number from 0 to 2^53 (leave it out for a random one)";

describe("ranges", () => {
  it.each([
    ["config.width", { width: 1023, height: 1024 }, 1023, `${sizeRule} (nearest: 1016 or 1024)`],
    ["config.height", { width: 1024, height: 63 }, 63, `${sizeRule} (nearest: 64)`],
    ["config.height", { width: 1024, height: 2056 }, 2056, `${sizeRule} (nearest: 2048)`],
    ["config.width", { size: "1023*1024" }, 1023, `${sizeRule} (nearest: 1016 or 1024) (given as config.size)`],
    ["config.width", { width: "wide", height: 64 }, "wide", sizeRule],
    ["config.size", { size: "big" }, "big", 'must be "WIDTH*HEIGHT", for example "1024*1024"'],
    ["config.size", { size: 1024 }, 1024, 'must be "WIDTH*HEIGHT", for example "1024*1024"'],
    ["config.height", { width: 1024 }, undefined, "must be given together with config.width"],
    ["config.width", { height: 1024 }, undefined, "must be given together with config.height"],
    [
      "config.size",
      { width: 512, size: "1024*1024" },
      "1024*1024",
      "does not agree with config.width, which is 512: leave one of them out",
    ],
    ["config.num_inference_steps", { num_inference_steps: 0 }, 0, stepRule],
    ["config.num_inference_steps", { num_inference_steps: 151 }, 151, stepRule],
    ["config.num_inference_steps", { num_inference_steps: 1.5 }, 1.5, stepRule],
    ["config.num_inference_steps", { steps: "1e2" }, "1e2", `${stepRule} (given as config.steps)`],
    ["config.num_inference_steps", { steps: "" }, "", `${stepRule} (given as config.steps)`],
    ["config.num_inference_steps", { steps: true }, true, `${stepRule} (given as config.steps)`],
    ["config.guidance_scale", { guidance_scale: 30.1 }, 30.1, "must be a number from 0 to 30"],
    ["config.guidance_scale", { guidance_scale: -1 }, -1, "must be a number from 0 to 30"],
    ["config.seed", { seed: -1 }, -1, seedRule],
    ["config.seed", { seed: 2 ** 54 }, 2 ** 54, seedRule],
    ["config.seed", { seed: "9007199254740993" }, "9007199254740993", seedRule],
    ["config.num_images", { num_images: 2 }, 2, "must be 1, 3 or 6"],
    ["config.num_images", { num_images: 4 }, 4, "must be 1, 3 or 6"],
    ["config.num_images", { num_images: 5 }, 5, "must be 1, 3 or 6"],
    ["config.num_images", { num_images: 0 }, 0, "must be 1, 3 or 6"],
    ["config.clip_skip", { clip_skip: "two" }, "two", "must be a whole number from 0 to 12"],
    ["config.guidance_rescale", { guidance_rescale: 7 }, 7, "must be a number from 0 to 1"],
    ["config.scheduler", { scheduler: "ddim2" }, "ddim2", schedulerRule],
    ["config.scheduler", { sample_solver: 7 }, 7, `${schedulerRule} (given as config.sample_solver)`],
    ["config.eta", { eta: 1.5 }, 1.5, "must be a number from 0 to 1"],
    ["config.output_format", { output_format: "avif" }, "avif", 'must be "png", "jpeg" or "webp"'],
    ["config.output_quality", { output_quality: 0 }, 0, "must be a whole number from 1 to 100"],
    ["config.seed", { seed: 2 ** 53, num_images: 3 }, 2 ** 53, seedsRule],
  ])("%s of %j", (field, config, value, message) => {
    expect(refused({ config })).toEqual([value === undefined ? { field, message } : { field, value, message }]);
  });

  it.each([
    { num_inference_steps: 1 },
    { num_inference_steps: 150 },
    { guidance_scale: 0 },
    { guidance_scale: 30 },
    { width: 64, height: 2048 },
    { seed: 0 },
    { seed: 2 ** 53 },
    { num_images: 1 },
    { num_images: 6 },
  ])("accepts %j", (config) => {
    expect(given(config)).toEqual(config);
  });

  it("offers sizes that are valid and next to what was asked", () => {
    fc.assert(
      fc.property(fc.integer({ min: -100, max: 5000 }), fc.constantFrom(8, 16), (value, multiple) => {
        const nearest = nearestSizes(value, multiple);
        for (const size of nearest) {
          expect(given({ width: size, height: 64 }).width).toBe(size);
          expect(size % multiple).toBe(0);
        }
        const inRange = Math.min(Math.max(value, 64), 2048);
        expect(Math.min(...nearest.map((size) => Math.abs(size - inRange)))).toBeLessThanOrEqual(multiple / 2);
      }),
    );
  });

  it("accepts a width exactly when it is a multiple of 8 from 64 to 2048", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4096 }), (width) => {
        const valid = width % 8 === 0 && width >= 64 && width <= 2048;
        expect(checkJob(classic, { ...base, config: { width, height: 512 } }).ok).toBe(valid);
        expect(checkJob(classic, { ...base, config: { size: `${width}*512` } }).ok).toBe(valid);
      }),
    );
  });
});

it("knows JPEG by both of its names, in any case", () => {
  for (const output_format of ["jpg", "JPEG", "jpeg"])
    expect(given({ output_format })).toEqual({ output_format: "jpeg" });
});

describe("prompt", () => {
  it.each([undefined, null, "   ", "\n\t\u00a0"])("refuses %j", (prompt) => {
    expect(refused({ prompt }).map(({ field }) => field)).toEqual(["prompt"]);
  });

  it("may be empty: any picture", () => {
    expect(accepted({ prompt: "" }).prompt).toBe("");
  });

  it("is at most 8,000 characters, an emoji being one", () => {
    expect(accepted({ prompt: "🌊".repeat(8000) }).prompt).toHaveLength(16_000);
    const [problem] = refused({ prompt: "a".repeat(8001) });
    expect(problem?.message).toBe("must be at most 8,000 characters");
    expect(problem?.value).toBe(`${"a".repeat(120)}… (8,001 characters)`);
    expect(refused({ prompt: "🌊".repeat(8001) })).toHaveLength(1);
  });
});

it("says what is wrong with metadata that is not an object, whatever the reference", () => {
  expect(refused({ reference_image_url: "a.png", metadata: "none" })).toEqual([
    { field: "metadata", value: "none", message: "must be an object" },
  ]);
});

describe("sdxl_generate", () => {
  it("requires steps and guidance", () => {
    expect(refused({}, pure)).toEqual([
      { field: "config.num_inference_steps", message: stepRule },
      { field: "config.guidance_scale", message: "must be a number from 0 to 30" },
    ]);
    expect(refused({ config: { steps: null, guidance_scale: 0 } }, pure)).toHaveLength(1);
  });

  it.each([1, 2, 3, 4, 5, 6])("makes %i images", (num_images) => {
    expect(accepted({ config: { ...generate, num_images } }, pure).config.num_images).toBe(num_images);
  });

  it.each([0, 7, 1.5])("refuses %d images", (num_images) => {
    expect(refused({ config: { ...generate, num_images } }, pure)).toHaveLength(1);
  });
});

it("names every bad field at once, and reports what is not a job", () => {
  const problems = refused({
    prompt: " ",
    priority: 101,
    negative_prompt: 5,
    bucket: "a/b",
    config: { width: 1000, num_images: 2, seed: 0.5 },
    metadata: "none",
  });
  expect(problems.map(({ field }) => field).toSorted()).toEqual([
    "bucket",
    "config.height",
    "config.num_images",
    "config.seed",
    "metadata",
    "negative_prompt",
    "priority",
    "prompt",
  ]);
  for (const input of ["x", null, 7, []]) {
    expect(checkJob(classic, input)).toMatchObject({ ok: false, problems: [{ field: "job" }] });
  }
});

it("draws with a distilled model's own steps, without guidance, whatever the type assumes", () => {
  const distilled = { num_inference_steps: 1, guidance_scale: 0, output_format: "webp" };
  for (const schema of [sdxlParameters, sdxlGenerateParameters]) {
    for (const handler of [generate, referenceDefaults({ metadata: { reference_image_url: "a.png" } })]) {
      const { values, tiers } = resolveParameters(schema, { explicit: {}, model: distilled, handler });
      expect(values).toMatchObject(distilled);
      expect(tiers).toMatchObject({ num_inference_steps: "model", guidance_scale: "model" });
    }
  }
});

it("is what the contract knows of the types that ship", () => {
  expect(schemaOf("sdxl_image_high")).toEqual({
    input: sdxlJob,
    parameters: sdxlParameters,
    defaults: { num_inference_steps: 25, guidance_scale: 7.5 },
    defaultsFor: referenceDefaults,
    unusedFields: unusedSdxlFields,
  });
  expect(schemaOf("sdxl_generate")).toEqual({ ...pure, defaults: {} });
  expect(schemaOf("contact_sheet")).toBeUndefined();
});

it("lists prompt weights that are not turned on as ignored", () => {
  const given = { type: "sdxl_generate", prompt: "a red apple", compel_weights: "(apple:1.2)" };
  expect(ignoredFields(pure, given).ignored).toEqual(["compel_weights"]);
  expect(ignoredFields(pure, { ...given, compel_enabled: true }).ignored).toEqual([]);
  expect(ignoredFields(pure, { ...given, compel_weights: "" }).ignored).toEqual([]);
});
