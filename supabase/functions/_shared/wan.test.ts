import { describe, expect, it } from "vitest";
import { checkJob, type JobSchema } from "./check-job.ts";
import { resolveParameters } from "./parameters.ts";
import { describeProblems } from "./problems.ts";
import { schemaOf } from "./schemas.ts";
import {
  textToImageParameters,
  textToVideoParameters,
  wanGenerateParameters,
  wanImageJob,
  wanImageParameters,
  wanVideoJob,
  wanVideoParameters,
} from "./wan.ts";

const base = { id: "job-1", type: "video_fast", prompt: "waves on a pebble beach" };
const defaults = { num_inference_steps: 25, guidance_scale: 6.5 };
const classic = { input: wanVideoJob, parameters: wanVideoParameters, defaults };
const picture = { input: wanImageJob, parameters: wanImageParameters, defaults };
const pure = { input: wanVideoJob, parameters: wanGenerateParameters };

function accepted(job: Record<string, unknown>, schema: JobSchema<typeof wanVideoJob> = classic) {
  const result = checkJob(schema, { ...base, ...job });
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return result.value;
}

function refused(job: Record<string, unknown>, schema: JobSchema<typeof wanVideoJob> = classic) {
  const result = checkJob(schema, { ...base, ...job });
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.value)}`);
  return result.problems;
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
    ["config.frame_num", { frame_num: 0 }, 0, "must be a whole number from 5 to 161"],
    ["config.frame_num", { frame_num: 2000 }, 2000, "must be a whole number from 5 to 161"],
    ["config.frame_num", { frames: 162 }, 162, "must be a whole number from 5 to 161 (given as config.frames)"],
    ["config.width", { size: "481*832" }, 481, `${sizeRule} (nearest: 480 or 496) (given as config.size)`],
    [
      "config.scheduler",
      { scheduler: "lms" },
      "lms",
      expect.stringMatching(/^must be "unipc", "dpm\+\+", "euler", .*Scheduler"$/),
    ],
    ["config.fps", { fps: 61 }, 61, "must be a whole number from 1 to 60"],
    ["config.video_format", { video_format: "gif" }, "gif", 'must be "mp4", "webm" or "webp"'],
    ["config.crf", { crf: 101, video_format: "webp" }, 101, "must be a number from 0 to 100"],
    ["config.crf", { crf: 52 }, 52, "must be at most 51 for mp4"],
    ["config.crf", { crf: 64, video_format: "webm" }, 64, "must be at most 63 for webm"],
    ["config.switch_threshold", { switch_threshold: 1001 }, 1001, "must be a number from 0 to 1,000"],
    ["config.guidance_scale_2", { guidance_scale_2: -1 }, -1, "must be a number from 0 to 30"],
    ["config.flow_shift", { flow_shift: 0 }, 0, "must be a number from 0.1 to 20"],
    ["config.num_inference_steps", { steps: 151 }, 151, "must be a whole number from 1 to 150 (given as config.steps)"],
    ["config.guidance_scale", { guidance_scale: 31 }, 31, "must be a number from 0 to 30"],
    ["config.seed", { seed: -1 }, -1, "must be a whole number from 0 to 2^53 (leave it out for a random one)"],
    ["config.enhance_prompt", { enhance_prompt: 1 }, 1, "must be true or false"],
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

  it.each([
    { frame_num: 5 },
    { frame_num: 161 },
    { crf: 100, video_format: "webp" },
    { crf: 51 },
    { width: 64, height: 2048 },
    { guidance_scale: 0 },
  ])("%j", (config) => {
    expect(accepted({ config }).config).toEqual(config);
  });

  it.each([
    ["metadata.reference_strength", { reference_strength: 2 }, 2, "must be a number from 0 to 1"],
    ["metadata.enhancement_type", { enhancement_type: "x" }, "x", 'must be "base", "chat" or "instruct_chat"'],
  ])("%s of %j", (field, metadata, value, message) => {
    expect(refused({ metadata })).toEqual([{ field, value, message }]);
  });

  it("requires a prompt", () => {
    expect(refused({ prompt: " " })).toMatchObject([{ field: "prompt", value: " " }]);
    expect(refused({ prompt: null })).toEqual([
      { field: "prompt", message: "must be 1 to 65,536 bytes of UTF-8 and not only white space" },
    ]);
  });
});

it("refuses both sizes that no picture has", () => {
  const small = refused({ config: { size: "16x16" } });
  expect(small.map(({ field, message }) => `${field} ${message}`)).toEqual([
    `config.width ${sizeRule} (nearest: 64) (given as config.size)`,
    `config.height ${sizeRule} (nearest: 64) (given as config.size)`,
  ]);
  expect(refused({ config: { size: "8192x8192" } }).map(({ value }) => value)).toEqual([8192, 8192]);
});

describe("pixels in all frames of a clip", () => {
  const rule = "since a clip has at most 148,377,600 pixels in all frames (1280×720 with 161)";
  const remedy = "send fewer frames, or a smaller size";
  const steps = { num_inference_steps: 10, guidance_scale: 5 };

  it.each([
    [{ size: "2048*2048", frame_num: 161 }, "frame_num", 161, `must be at most 35 at 2048×2048, ${rule}: ${remedy}`],
    [{ size: "1280*736", num_frames: 161 }, "frame_num", 161, expect.stringMatching(/at most 157 at 1280×736/)],
    // Without a word on them, there are as many frames as the job type has.
    [{ size: "2048*2048" }, "frame_num", undefined, expect.stringMatching(/at most 35 at 2048×2048/)],
  ])("are too many in %j", (config, name, value, message) => {
    for (const schema of [classic, { ...pure, defaults: steps }, { ...classic, parameters: textToVideoParameters }]) {
      const [problem, ...others] = refused({ config }, schema);
      expect(others).toEqual([]);
      expect(problem).toMatchObject({ field: `config.${name}`, message });
      if (value !== undefined) expect(problem?.value).toBe(value);
    }
  });

  it.each([{ size: "1280*720", frame_num: 161 }, { size: "2048*2048", frame_num: 35 }, { frame_num: 161 }])(
    "fit in %j",
    (config) => {
      expect(checkJob(classic, { ...base, config })).toMatchObject({ ok: true });
    },
  );

  it("are not counted of a picture, nor where a number is out of range by itself", () => {
    expect(checkJob(picture, { ...base, config: { size: "2048*2048" } })).toMatchObject({ ok: true });
    expect(refused({ config: { size: "2048*2048", frame_num: 400 } })).toEqual([
      { field: "config.frame_num", value: 400, message: "must be a whole number from 5 to 161" },
    ]);
  });

  it("count with the model's own size", () => {
    const model = { width: 2048, height: 2048 };
    const resolve = () => resolveParameters(wanVideoParameters, { explicit: {}, model, handler: defaults });
    expect(resolve).toThrow(/frame_num.* must be at most 35 at 2048×2048/);
  });
});

describe("prompts", () => {
  it.each(["prompt", "negative_prompt"])(
    "of 5,000 words are taken as a %s, and refused above 65,536 bytes",
    (field) => {
      expect(accepted({ [field]: "seagull ".repeat(5000) })).toMatchObject({ [field]: "seagull ".repeat(5000) });
      expect(accepted({ [field]: "é".repeat(32_768) })).toMatchObject({ [field]: "é".repeat(32_768) });
      const [problem] = refused({ [field]: "é".repeat(32_769) });
      expect(problem).toMatchObject({ field, message: expect.stringMatching(/65,536 bytes of UTF-8/) });
      expect(problem?.value).toMatch(/^é{120}… \(32,769 characters\)$/);
    },
  );

  it.each(["prompt", "negative_prompt"])("with the character NUL are refused as a %s", (field) => {
    expect(refused({ [field]: "a lake\0" })).toMatchObject([{ field, message: "must not contain the character NUL" }]);
  });
});

it("wan_generate requires steps and guidance, and takes one frame", () => {
  expect(refused({}, pure).map(({ field }) => field)).toEqual(["config.num_inference_steps", "config.guidance_scale"]);
  const config = { num_inference_steps: 1, guidance_scale: 0, frame_num: 1 };
  expect(accepted({ config }, pure).config).toEqual(config);
});

it("a picture has one frame, stated or not, whatever its model's clips have", () => {
  expect(accepted({ config: { frames: 1 } }, picture).config).toEqual({ frame_num: 1 });
  expect(refused({ config: { frame_num: 83 } }, picture)).toEqual([
    { field: "config.frame_num", value: 83, message: "must be 1, or left out: this job type makes a picture" },
  ]);
  const model = { frame_num: 17, width: 64, height: 64 };
  const { values } = resolveParameters(wanImageParameters, { explicit: {}, model, handler: defaults });
  expect(values).toEqual({ width: 64, height: 64, ...defaults });
});

it("knows the defaults of each system: a portrait clip, and a landscape one", () => {
  const of = (schema: Parameters<typeof resolveParameters>[0]) =>
    resolveParameters(schema, { explicit: {}, handler: defaults }).values;
  expect(of(wanVideoParameters)).toEqual({
    width: 480,
    height: 832,
    frame_num: 83,
    fps: 16,
    video_format: "mp4",
    ...defaults,
  });
  expect(of(wanGenerateParameters)).toMatchObject({ width: 480, height: 832, frame_num: 81 });
  const headless = { width: 1280, height: 720, scheduler: "euler", flow_shift: 7, ...defaults };
  expect(of(textToVideoParameters)).toEqual({ ...headless, frame_num: 49, fps: 16, video_format: "mp4" });
  expect(of(textToImageParameters)).toEqual(headless);
  expect(schemaOf("t2v")?.defaults).toEqual({ num_inference_steps: 25, guidance_scale: 7.5 });
});

it.each(["x", null, 7, []])("reports %j, which is not a job", (input) => {
  expect(checkJob(classic, input)).toMatchObject({
    ok: false,
    problems: [{ field: "job", message: "must be an object" }],
  });
});
