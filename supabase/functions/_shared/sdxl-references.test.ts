import { describe, expect, it } from "vitest";
import { z } from "zod";
import { checkJob } from "./check-job.ts";
import { ignoredBy } from "./ignored-fields.ts";
import { describeProblems } from "./problems.ts";
import { schemaOf } from "./schemas.ts";
import { referenceDefaults } from "./sdxl-references.ts";
import type { JsonObject } from "./synonyms.ts";

const base = { id: "job-1", type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: "user-1" };
const classic = schemaOf("sdxl_image_fast");
const pure = schemaOf("sdxl_generate");
const reference_image_url = "https://files.test/a.png";

function check(job: JsonObject, schema = classic) {
  if (schema === undefined) throw new Error("the contract knows the job type");
  return checkJob(schema, { ...base, ...job });
}

const parts = z.looseObject({ config: z.record(z.string(), z.unknown()), prompt: z.string() });

function accepted(job: JsonObject, schema = classic): z.output<typeof parts> {
  const result = check(job, schema);
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return parts.parse(result.value);
}

const refused = (job: JsonObject, schema = classic) => {
  const result = check(job, schema);
  return result.ok ? [] : result.problems.map(({ field, message }) => `${field} ${message}`);
};

const begin = (metadata: JsonObject = {}, config: JsonObject = {}) => ({
  config,
  metadata: { reference_image_url, ...metadata },
});

describe("the strength of a reference", () => {
  it.each([
    [begin(), undefined],
    [begin({}, { denoise_strength: 0.4 }), 0.4],
    [begin({}, { strength: "0.4" }), "0.4"],
    [begin({ denoise_strength: 0.3 }), 0.3],
    [begin({ reference_strength: 0.8 }), 0.2],
    [begin({ reference_strength: 0.9 }), 0.1],
    [begin({ reference_strength: 0 }), 1],
    [begin({ reference_strength: 1, reference_type: "style" }), 0],
    [begin({ reference_strength: 0.9, denoise_strength: 0.3 }), 0.3],
    [begin({ reference_strength: 0.9, denoise_strength: 0.3 }, { denoise_strength: 0.6 }), 0.6],
  ])("%j is %s", (job, strength) => {
    const { config } = accepted(job);
    expect(config.denoise_strength).toBe(strength);
    expect(accepted({ ...base, ...accepted(job) }).config).toEqual(config);
  });

  it.each([
    [begin({}, { denoise_strength: 0 }), "config.denoise_strength must be more than 0"],
    [begin({ denoise_strength: 0 }), "metadata.denoise_strength must be more than 0"],
    [begin({ reference_strength: 1 }), "metadata.reference_strength must be less than 1"],
  ])("%j is refused", (job, problem) => {
    const rule = ", which leaves the reference as it is: metadata.exact_copy_mode draws a copy";
    expect(refused(job)).toEqual([problem + rule]);
  });

  it.each([
    [begin({}, { denoise_strength: 1.1 }), "config.denoise_strength must be a number from 0 to 1"],
    [begin({ reference_strength: -0.1 }), "metadata.reference_strength must be a number from 0 to 1"],
    [begin({ reference_type: "pose" }), 'metadata.reference_type must be "style", "composition" or "character"'],
    [begin({}, { reference_fit: "stretch" }), 'config.reference_fit must be "cover" or "contain"'],
    [
      begin({}, { reference_background: "url(x)" }),
      'config.reference_background must be a colour such as "#80c0ff", or "white", "black" or "gray"',
    ],
  ])("%j is out of range", (job, problem) => {
    expect(refused(job)).toEqual([problem]);
  });
});

describe("an exact copy", () => {
  it.each([{ exact_copy_mode: true }, { reference_mode: "copy" }])(
    "by %j needs no prompt, and has its own values",
    (how) => {
      const values = { num_inference_steps: 15, guidance_scale: 1, denoise_strength: 0.05 };
      expect(accepted({ ...begin(how), prompt: null })).toMatchObject({ prompt: "", config: values });
      expect(accepted(begin(how), pure).config).toEqual(values);
    },
  );

  it("leaves what the job gives", () => {
    const given = { steps: 30, guidance_scale: 3, denoise_strength: 0 };
    expect(accepted(begin({ exact_copy_mode: true }, given)).config).toEqual({
      num_inference_steps: 30,
      guidance_scale: 3,
      denoise_strength: 0,
    });
  });

  it("is of a whole reference", () => {
    expect(refused(begin({ exact_copy_mode: true }, { mask_image_url: "https://files.test/m.png" }))).toEqual([
      "config.mask_image_url must be left out: an exact copy draws nothing anew",
    ]);
    const rule =
      'must be given together with metadata.reference_image_url (config.pipeline "txt2img" says that it is not meant)';
    expect(refused({ metadata: { exact_copy_mode: true } })).toEqual([`metadata.exact_copy_mode ${rule}`]);
    expect(refused({ metadata: { reference_mode: "copy" } })).toEqual([`metadata.reference_mode ${rule}`]);
  });
});

it("has other defaults with a reference than without", () => {
  expect(referenceDefaults({ config: {}, metadata: { reference_image_url } })).toEqual({
    num_inference_steps: 20,
    guidance_scale: 6,
  });
  expect(referenceDefaults({ config: { pipeline: "txt2img" }, metadata: { reference_image_url } })).toBeUndefined();
  expect(referenceDefaults({ config: {}, metadata: {} })).toBeUndefined();
});

it.each([
  [
    { config: { pipeline: "img2img" } },
    'metadata.reference_image_url must be given, since config.pipeline is "img2img"',
  ],
  [
    { config: { mask_image_url: "https://files.test/m.png" } },
    "config.mask_image_url must be given together with metadata.reference_image_url: it says which parts of that are drawn anew",
  ],
  [
    begin({}, { pipeline: "txt2img", mask_image_url: "https://files.test/m.png" }),
    'config.mask_image_url must be left out with config.pipeline "txt2img"',
  ],
  [
    { config: { init_image: "a.png" } },
    "config.init_image must be left out: give a picture to begin with as metadata.reference_image_url",
  ],
  [begin({}, { mask: "m.png" }), "config.mask must be left out: give a mask as config.mask_image_url"],
  [begin({}, { pipeline: "inpaint" }), 'config.pipeline must be "txt2img" or "img2img"'],
])("%j: %s", (job, problem) => {
  expect(refused(job)).toEqual([problem]);
});

describe("what plays no part is listed as ignored", () => {
  it.each([
    [{ config: { strength: 0.5 } }, ["strength"]],
    [{ config: { denoise_strength: 0.5, strength: 0.5 } }, ["denoise_strength"]],
    [{ config: { reference_fit: "contain" } }, ["reference_fit"]],
    [{ config: { reference_fit: "contain", control_image_url: "https://files.example/lines.png" } }, []],
    [{ config: { reference_background: "#102030" } }, ["reference_background"]],
    [{ config: { reference_background: "gray", ip_adapter_image_url: "https://files.example/cat.png" } }, []],
    [{ config: { novelty: 1, absent: null, expected_time: 30, pipeline: "txt2img" } }, ["novelty"]],
    [{ metadata: { reference_strength: 0.4, album: "a" } }, ["metadata.reference_strength"]],
    [{ metadata: { reference_image_url: "", exact_copy_mode: null } }, []],
    [
      { config: { mask_image_url: "", control_image_url: "", ip_adapter_image_url: null } },
      ["mask_image_url", "control_image_url"],
    ],
    [
      begin({ reference_type: "style", reference_mode: "copy" }, { pipeline: "txt2img" }),
      ["metadata.reference_image_url", "metadata.reference_type", "metadata.reference_mode"],
    ],
    [
      begin({ reference_type: "style", reference_strength: 0.4 }, { denoise_strength: 0.3 }),
      ["metadata.reference_strength"],
    ],
    [begin({ denoise_strength: 0.4 }, { strength: 0.3 }), ["metadata.denoise_strength"]],
    [begin({ reference_type: "style", exact_copy_mode: true }), ["metadata.reference_type"]],
    [
      begin({ reference_type: "style", reference_strength: 0.4, reference_mode: "modify" }, { pipeline: "img2img" }),
      [],
    ],
  ])("%j: %j", (job, ignored) => {
    expect(accepted(job)).toBeDefined();
    expect(classic && ignoredBy(classic, job)).toEqual({ ignored });
  });

  it("and its strength is none of the job's parameters", () => {
    expect(accepted({ config: { strength: 0.5 } }).config).toEqual({});
  });
});
