import { describe, expect, it } from "vitest";
import { z } from "zod";
import { CodedError, PermanentError } from "./errors.ts";
import { defaultParameters, parameterProblems, presetNames, resolveParameters, unreadKeys } from "./parameters.ts";

const schema = z.object({
  width: z.number().multipleOf(8).default(1024),
  height: z.number().multipleOf(8).default(1024),
  num_inference_steps: z.number().int().min(1).max(150).default(30),
  guidance_scale: z.number().min(0).max(30).default(5),
  negative_prompt: z.string().default("blurry"),
  upscale: z.boolean().default(true),
  seed: z.number().optional(),
});

function errorOf(run: () => unknown): CodedError {
  try {
    run();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("tiers", () => {
  it("uses the schema's own defaults last", () => {
    expect(resolveParameters(schema, { explicit: {} })).toEqual({
      values: {
        width: 1024,
        height: 1024,
        num_inference_steps: 30,
        guidance_scale: 5,
        negative_prompt: "blurry",
        upscale: true,
      },
      tiers: {
        width: "system",
        height: "system",
        num_inference_steps: "system",
        guidance_scale: "system",
        negative_prompt: "system",
        upscale: "system",
      },
    });
  });

  it("prefers the job to the model to the handler", () => {
    const { values, tiers } = resolveParameters(schema, {
      explicit: { num_inference_steps: 1 },
      model: { num_inference_steps: 2, guidance_scale: 2 },
      handler: { num_inference_steps: 3, guidance_scale: 3, seed: 3 },
    });
    expect(values).toMatchObject({ num_inference_steps: 1, guidance_scale: 2, seed: 3, negative_prompt: "blurry" });
    expect(tiers).toMatchObject({
      num_inference_steps: "job",
      guidance_scale: "model",
      seed: "handler",
      negative_prompt: "system",
    });
  });

  it.each([
    ["guidance_scale", 0],
    ["seed", 0],
    ["upscale", false],
    ["negative_prompt", ""],
  ])("takes %s %j as given", (name, value) => {
    const { values, tiers } = resolveParameters(schema, {
      explicit: { [name]: value },
      handler: { guidance_scale: 9, seed: 9, upscale: true, negative_prompt: "fog" },
    });
    expect(values).toHaveProperty(name, value);
    expect(tiers[name]).toBe("job");
  });

  it.each([null, undefined])("takes %j as not given, in every tier", (value) => {
    const { values, tiers } = resolveParameters(schema, {
      explicit: { guidance_scale: value },
      model: { guidance_scale: value },
      handler: { guidance_scale: 6 },
    });
    expect(values.guidance_scale).toBe(6);
    expect(tiers.guidance_scale).toBe("handler");
  });
});

describe("names", () => {
  it("reads every tier's synonyms", () => {
    const { values, tiers } = resolveParameters(schema, {
      explicit: { sample_guide_scale: 7 },
      model: { size: "512*768" },
      handler: { steps: 15, guidance_scale: 6 },
    });
    expect(values).toMatchObject({ guidance_scale: 7, width: 512, height: 768, num_inference_steps: 15 });
    expect(tiers).toMatchObject({ width: "model", num_inference_steps: "handler" });
  });

  it("serves a schema that uses a synonym itself, or a named size", () => {
    const other = z.object({ steps: z.number(), frames: z.number().optional(), size: z.string() });
    const explicit = { num_inference_steps: 4, frame_num: 9, size: "64*64" };
    expect(resolveParameters(other, { explicit }).values).toEqual({ steps: 4, frames: 9, size: "64*64" });
  });

  it("gives a schema that names both the canonical name's value and the synonym nothing", () => {
    const both = z.object({ num_inference_steps: z.number(), steps: z.number().default(1) });
    expect(resolveParameters(both, { explicit: { steps: 4 } }).values).toEqual({ num_inference_steps: 4, steps: 1 });
  });

  it("lists what the schema does not read, but not null", () => {
    const config = { seed: 1, novelty: 0, absent: null, num_inference_steps: 25, steps: 20, constructor: 1 };
    expect(unreadKeys(schema, config)).toEqual(["novelty", "steps", "constructor"]);
    expect(unreadKeys(schema, { strength: 0.5 })).toEqual(["strength"]);
  });
});

describe("a model's own words", () => {
  const withScheduler = z.object({ ...schema.shape, scheduler: z.string().optional() });
  const model = {
    num_inference_steps: 20,
    size: "512*512",
    job_types: { sketch: { steps: 8, scheduler: "euler" }, "": { steps: 1 } },
    sampler_presets: { euler: { sample_guide_scale: 3 }, lms: { guidance_scale: 4, steps: 40 } },
  };
  it.each([
    ["a type without words of its own", "oil", {}, { num_inference_steps: 20, guidance_scale: 5, width: 512 }],
    ["its own type", "sketch", {}, { num_inference_steps: 8, scheduler: "euler", guidance_scale: 3 }],
    ["the scheduler of the job", "sketch", { scheduler: "lms" }, { num_inference_steps: 40, guidance_scale: 4 }],
    ["what the job gives", "sketch", { steps: 9, guidance_scale: 0 }, { num_inference_steps: 9, guidance_scale: 0 }],
    ["a scheduler without preset", "oil", { scheduler: "toString" }, { num_inference_steps: 20, guidance_scale: 5 }],
  ])("%s", (_name, type, explicit, expected) => {
    expect(resolveParameters(withScheduler, { explicit, model, type }).values).toMatchObject(expected);
  });

  it("are tiers of their own", () => {
    const { tiers } = resolveParameters(withScheduler, { explicit: {}, model, type: "sketch" });
    expect(tiers).toMatchObject({ num_inference_steps: "model", guidance_scale: "preset", width: "model" });
    expect(presetNames(model)).toEqual(["euler", "lms"]);
  });

  it("are the defaults that are shown, with what is required and not known left out", () => {
    const required = withScheduler.extend({ steps_of_thought: z.number() });
    expect(defaultParameters(required, { model, type: "sketch", handler: { upscale: false } })).toEqual({
      width: 512,
      height: 512,
      num_inference_steps: 8,
      guidance_scale: 3,
      negative_prompt: "blurry",
      upscale: false,
      scheduler: "euler",
    });
  });

  it("that are wrong say where", () => {
    const bad = { ...model, sampler_presets: { euler: { guidance_scale: 99 } } };
    const error = errorOf(() => resolveParameters(withScheduler, { explicit: {}, model: bad, type: "sketch" }));
    expect(error.code).toBe("MODEL_INVALID");
    expect(error.message).toContain("(from a sampler preset in the model's generation_config.json)");
  });
});

it("asks a job for what the schema requires and the handler does not give, before the model is known", () => {
  const strict = z.object({ steps: z.number(), guidance: z.number(), label: z.string().optional() });
  expect(parameterProblems(strict, { explicit: { sample_steps: "x" }, handler: { guidance: 6 } })).toEqual([
    { field: "config.steps", value: "x", message: "must be a number (given as config.sample_steps)" },
  ]);
  expect(parameterProblems(strict, { explicit: { steps: 3 } })).toEqual([
    { field: "config.guidance", message: "must be a number" },
  ]);
});

it("refuses a size that cannot be read, and lists one that lost", () => {
  const problems = parameterProblems(schema, { explicit: { size: "big" } });
  expect(problems).toEqual([
    { field: "config.size", value: "big", message: 'must be "WIDTH*HEIGHT", for example "1024*1024"' },
  ]);
  const lost = { width: 512, height: 512, resolution: "64x64" };
  expect(parameterProblems(schema, { explicit: lost })).toEqual([]);
  expect(unreadKeys(schema, lost)).toEqual(["resolution"]);
});

describe("width and height are one value", () => {
  it.each([
    [
      { width: 512, height: 768 },
      { width: 640, height: 640 },
      { width: 512, height: 768 },
    ],
    [{}, { width: 640, height: 480 }, { width: 640, height: 480 }],
    [{ size: "512*512" }, { width: 640, height: 480 }, { width: 512, height: 512 }],
  ])("job %j, model %j", (explicit, model, expected) => {
    expect(resolveParameters(schema, { explicit, model }).values).toMatchObject(expected);
  });

  it.each([
    [{ width: 512 }, {}, "config.height", "INVALID_JOB", "must be given together with config.width"],
    [
      { size: "1024*768", width: 512 },
      {},
      "config.size",
      "INVALID_JOB",
      "does not agree with config.width, which is 512: leave one of them out",
    ],
    [
      {},
      { height: 512 },
      "generation_config.width",
      "MODEL_INVALID",
      "must be given together with generation_config.height (from the model's generation_config.json)",
    ],
  ])("job %j, model %j is refused", (explicit, model, field, code, message) => {
    const handler = { width: 1024, height: 1024 };
    const error = errorOf(() => resolveParameters(schema, { explicit, model, handler }));
    expect(error).toBeInstanceOf(PermanentError);
    expect(error.code).toBe(code);
    expect(error.details).toMatchObject([{ field, message }]);
  });
});

it("leaves a width alone in a schema that has no height", () => {
  const edge = z.object({ width: z.number().default(64), scale: z.number().default(2) });
  const { values } = resolveParameters(edge, { explicit: { scale: 3 }, handler: { width: 128 } });
  expect(values).toEqual({ width: 128, scale: 3 });
});

describe("problems", () => {
  it("names the job's field and value", () => {
    const explicit = { num_inference_steps: 151, seed: "x" };
    const error = errorOf(() => resolveParameters(schema, { explicit }));
    expect(error.code).toBe("INVALID_JOB");
    expect(error.message).toBe(
      'The job is invalid: config.num_inference_steps is 151: must be at most 150; config.seed is "x": must be a number',
    );
  });

  it("says which tier a bad value came from", () => {
    const model = errorOf(() => resolveParameters(schema, { explicit: {}, model: { guidance_scale: 99 } }));
    expect(model.code).toBe("MODEL_INVALID");
    expect(model.message).toBe(
      "The model's parameters are invalid: generation_config.guidance_scale is 99: must be at most 30 (from the model's generation_config.json)",
    );
    const handler = errorOf(() => resolveParameters(schema, { explicit: {}, handler: { guidance_scale: 99 } }));
    expect(handler.code).toBe("HANDLER_INVALID");
    expect(handler.message).toContain(
      "defaults.guidance_scale is 99: must be at most 30 (from the handler's defaults)",
    );
  });

  it("names what no tier gives and the schema needs", () => {
    const strict = z.object({ prompt_strength: z.number() });
    const error = errorOf(() => resolveParameters(strict, { explicit: {} }));
    expect(error.message).toBe("The job is invalid: config.prompt_strength is missing: must be a number");
  });

  it("reports a rule between fields", () => {
    const ruled = z
      .object({ low: z.number(), high: z.number() })
      .refine(({ low, high }) => low < high, "low must be below high");
    const error = errorOf(() => resolveParameters(ruled, { explicit: { low: 2, high: 1 } }));
    expect(error.details).toEqual([{ field: "config", value: { low: 2, high: 1 }, message: "low must be below high" }]);
  });
});
