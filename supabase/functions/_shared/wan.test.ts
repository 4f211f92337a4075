import { describe, expect, it } from "vitest";
import { checkJob, type JobSchema } from "./check-job.ts";
import { resolveParameters } from "./parameters.ts";
import { describeProblems } from "./problems.ts";
import { referenceMode, wanGenerateJob, wanJob, wanParameters, wanReferences } from "./wan.ts";

const base = { id: "job-1", type: "video_fast", prompt: "waves on a pebble beach" };
const defaults = { num_inference_steps: 25, guidance_scale: 6.5 };
const classic = { input: wanJob, parameters: wanParameters, defaults };
const pure = { input: wanGenerateJob, parameters: wanParameters };

function accepted(job: Record<string, unknown>, schema: JobSchema<typeof wanJob> = classic) {
  const result = checkJob(schema, { ...base, ...job });
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return result.value;
}

function refused(job: Record<string, unknown>, schema: JobSchema<typeof wanJob> = classic) {
  const result = checkJob(schema, { ...base, ...job });
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.value)}`);
  return result.problems;
}

/** As a handler has it: parameters beside the job's metadata. */
function references(job: Record<string, unknown>): Parameters<typeof wanReferences>[0] {
  const { config: explicit, metadata } = accepted(job);
  return { config: resolveParameters(wanParameters, { explicit, handler: defaults }).values, metadata };
}

it("reads a classic job under canonical names and assumes nothing", () => {
  const config = {
    size: "480*832",
    sample_steps: 25,
    sample_guide_scale: 6.5,
    sample_solver: "unipc",
    sample_shift: 5,
    frame_num: 83,
    enhance_prompt: false,
    seed: 0,
    content_type: "video",
    file_extension: "mp4",
    task: "t2v-1.3B",
    unheard: 1,
  };
  const { config: explicit } = accepted({ config });
  expect(explicit).toEqual({
    width: 480,
    height: 832,
    num_inference_steps: 25,
    guidance_scale: 6.5,
    scheduler: "unipc",
    flow_shift: 5,
    frame_num: 83,
    enhance_prompt: false,
    seed: 0,
    content_type: "video",
    file_extension: "mp4",
    task: "t2v-1.3B",
    unheard: 1,
  });
  expect(accepted({}).config).toEqual({});
});

it.each(["frame_num", "num_frames", "frames", "video_length"])("%s is the number of frames", (name) => {
  expect(accepted({ config: { [name]: 81 } }).config).toEqual({ frame_num: 81 });
});

const sizeRule = "must be a multiple of 16 from 64 to 2048";

describe("ranges", () => {
  it.each([
    ["config.width", { size: "488*832" }, 488, `${sizeRule} (nearest: 480 or 496) (given as config.size)`],
    ["config.height", { width: 480, height: 2064 }, 2064, `${sizeRule} (nearest: 2048)`],
    ["config.height", { width: 480 }, undefined, "must be given together with config.width"],
    ["config.frame_num", { frame_num: 0 }, 0, "must be a whole number from 1 to 161"],
    ["config.frame_num", { frames: 162 }, 162, "must be a whole number from 1 to 161 (given as config.frames)"],
    ["config.scheduler", { scheduler: "lms" }, "lms", 'must be "unipc", "dpm++" or "euler"'],
    ["config.flow_shift", { flow_shift: 0 }, 0, "must be a number from 0.1 to 20"],
    ["config.num_inference_steps", { steps: 151 }, 151, "must be a whole number from 1 to 150 (given as config.steps)"],
    ["config.guidance_scale", { guidance_scale: 31 }, 31, "must be a number from 0 to 30"],
    ["config.seed", { seed: -1 }, -1, "must be a whole number from 0 to 2^53 (leave it out for a random one)"],
    ["config.enhance_prompt", { enhance_prompt: 1 }, 1, "must be true or false"],
    ["config.first_frame", { first_frame: 4 }, 4, "must be a URL"],
    ["config.content_type", { content_type: "clip" }, "clip", 'must be "image", "video" or "text"'],
    [
      "config.file_extension",
      { file_extension: ".mp4" },
      ".mp4",
      'must be a file extension without the dot, such as "png"',
    ],
  ])("%s of %j", (field, config, value, message) => {
    expect(refused({ config })).toEqual([value === undefined ? { field, message } : { field, value, message }]);
  });

  it.each([{ frame_num: 1 }, { frame_num: 161 }, { width: 64, height: 2048 }, { guidance_scale: 0 }])(
    "%j",
    (config) => {
      expect(accepted({ config }).config).toEqual(config);
    },
  );

  it.each([
    ["metadata.reference_strength", { reference_strength: 0 }, 0, "must be a number from 0.1 to 1"],
    ["metadata.enhancement_type", { enhancement_type: "x" }, "x", 'must be "base", "chat" or "instruct_chat"'],
  ])("%s of %j", (field, metadata, value, message) => {
    expect(refused({ metadata })).toEqual([{ field, value, message }]);
  });

  it("requires a prompt", () => {
    expect(refused({ prompt: " " })).toMatchObject([{ field: "prompt", value: " " }]);
    expect(refused({ prompt: null })).toEqual([
      { field: "prompt", message: "must be 1 to 8,000 characters and not only white space" },
    ]);
  });
});

it("wan_generate requires steps and guidance, and allows a reference strength of 0", () => {
  expect(refused({}, pure).map(({ field }) => field)).toEqual(["config.num_inference_steps", "config.guidance_scale"]);
  const config = { num_inference_steps: 1, guidance_scale: 0 };
  expect(accepted({ config, metadata: { reference_strength: 0 } }, pure).config).toEqual(config);
});

describe("reference mode", () => {
  it.each([
    [{}, {}, "none"],
    [{ image: "i" }, {}, "single"],
    [{}, { reference_image_url: "i" }, "single"],
    [{ first_frame: "s" }, {}, "start"],
    [{}, { start_reference_url: "s" }, "start"],
    [{ last_frame: "e" }, {}, "end"],
    [{}, { end_reference_url: "e" }, "end"],
    [{ first_frame: "s", last_frame: "e" }, {}, "both"],
    [{ first_frame: "s" }, { end_reference_url: "e" }, "both"],
    [{ image: "i", first_frame: "s" }, {}, "start"],
    [{ image: "i", last_frame: "e" }, {}, "end"],
    [{ image: "i", first_frame: "s", last_frame: "e" }, {}, "both"],
    [{ image: "", first_frame: "" }, { start_reference_url: "" }, "none"],
    [{ first_frame: "" }, { start_reference_url: "s" }, "start"],
    [{ image: null }, { reference_image_url: "i" }, "single"],
  ])("%j with metadata %j is %s", (config, metadata, mode) => {
    expect(referenceMode(references({ config, metadata }))).toBe(mode);
  });

  it("prefers config over metadata", () => {
    const job = references({
      config: { image: "a", first_frame: "b", last_frame: "c" },
      metadata: { reference_image_url: "d", start_reference_url: "e", end_reference_url: "f" },
    });
    expect(wanReferences(job)).toEqual({ single: "a", start: "b", end: "c" });
  });

  it("reads a reference at the top level", () => {
    expect(referenceMode(references({ reference_image_url: "i" }))).toBe("single");
  });
});

it.each(["x", null, 7, []])("reports %j, which is not a job", (input) => {
  expect(checkJob(classic, input)).toMatchObject({
    ok: false,
    problems: [{ field: "job", message: "must be an object" }],
  });
});
