import { describe, expect, it } from "vitest";
import { checkJob, type JobSchema } from "./check-job.ts";
import { ignoredBy } from "./ignored-fields.ts";
import { describeProblems } from "./problems.ts";
import { schemaOf } from "./schemas.ts";
import { referenceDefaults, referenceMode, wanReferences } from "./wan-references.ts";

const place = (config: object, metadata: object) => ({ config, metadata });
const png = "https://a.example/1.png";
const other = "https://a.example/2.png";

function schema(type: string): JobSchema {
  const known = schemaOf(type);
  if (known === undefined) throw new Error(`there is no job type ${type}`);
  return known;
}

/** What is wrong with a job, as `field message`; nothing where it is accepted. */
function problemsOf(type: string, job: Record<string, unknown>): string[] {
  const result = checkJob(schema(type), { id: "job-1", type, prompt: "waves on a pebble beach", ...job });
  return result.ok ? [] : result.problems.map(({ field, message }) => `${field} ${message}`);
}

const ignored = (type: string, job: Record<string, unknown>) => ignoredBy(schema(type), { type, ...job }).ignored;

describe("the mode", () => {
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
  ])("%j with metadata %j are %s", (config, metadata, mode) => {
    expect(referenceMode(place(config, metadata))).toBe(mode);
  });

  it("in config go before those in metadata", () => {
    const both = place(
      { image: "a", first_frame: "b", last_frame: "c" },
      { reference_image_url: "d", start_reference_url: "e", end_reference_url: "f" },
    );
    const { single, start, end } = wanReferences(both);
    expect([single?.url, start?.url, end?.url]).toEqual(["a", "b", "c"]);
  });
});

describe("a job", () => {
  it.each([
    ["video_fast", { config: { image: png, reference_fit: "contain", reference_background: "#102030" } }],
    ["video_fast", { config: { first_frame: png, last_frame: other }, metadata: { reference_strength: 0 } }],
    ["video_high", { config: { last_frame: png } }],
    ["t2v_22", { metadata: { start_reference_url: png, end_reference_url: other, reference_strength: 1 } }],
    ["image_fast", { config: { image: png } }],
    ["wan_2_2_t2i", { reference_image_url: png }],
    ["i2v", { config: { image: png } }],
    ["i2v", { metadata: { start_reference_url: png } }],
    ["i2v_22", { config: { first_frame: png, last_frame: png } }],
    ["flf2v", { config: { first_frame: png }, metadata: { end_reference_url: other } }],
    ["video_fast", { config: { image: "" }, metadata: { start_reference_url: "", reference_strength: 0.85 } }],
  ])("of the type %s takes %j", (type, job) => {
    expect(problemsOf(type, job)).toEqual([]);
    expect(ignored(type, job)).toEqual(
      JSON.stringify(job).includes("https") ? [] : ["metadata.reference_strength", "image"],
    );
  });

  it.each([
    [
      "video_fast",
      { metadata: { reference_strength: 1.5 } },
      "metadata.reference_strength must be a number from 0 to 1",
    ],
    ["video_fast", { config: { image: 7 } }, "config.image must be a URL"],
    ["video_fast", { config: { reference_fit: "stretch" } }, 'config.reference_fit must be "cover" or "contain"'],
    [
      "video_fast",
      { config: { reference_background: "#12" } },
      'config.reference_background must be a colour such as "#80c0ff", or "white", "black" or "gray"',
    ],
    [
      "image_fast",
      { config: { last_frame: png } },
      "config.last_frame must be left out: a picture has one frame; send the picture that it is made from as config.image",
    ],
    [
      "image_high",
      { metadata: { start_reference_url: png } },
      "metadata.start_reference_url must be left out: a picture has one frame; send the picture that it is made from as config.image",
    ],
    ["i2v", {}, "config.first_frame must be given, or config.image: clips of this job type begin with a picture"],
    [
      "i2v",
      { config: { image: png, last_frame: other } },
      "config.first_frame must be given beside the last frame: clips of this job type begin with a picture",
    ],
    [
      "flf2v",
      { config: { image: png, last_frame: other } },
      "config.first_frame must be given: clips of this job type begin and end with pictures",
    ],
    [
      "wan_generate",
      { config: { num_inference_steps: 4, guidance_scale: 5, frames: 1, first_frame: png, last_frame: other } },
      "config.last_frame must be left out beside a first frame: the job requests one frame",
    ],
  ])("of the type %s with %j is refused in one sentence", (type, job, problem) => {
    expect(problemsOf(type, job)).toEqual([problem]);
  });

  it("that lacks both pictures has them named beside its other mistakes", () => {
    const fields = checkJob(schema("flf2v"), { id: "a", type: "flf2v", config: { seed: -1 } });
    expect(fields.ok ? "" : describeProblems(fields.problems)).toMatch(
      /prompt.*config.first_frame.*config.last_frame.*config.seed/s,
    );
  });
});

describe("what plays no part", () => {
  it.each([
    [
      { config: { reference_fit: "contain" }, metadata: { reference_strength: 0 } },
      ["reference_fit", "metadata.reference_strength"],
    ],
    [{ config: { image: png, first_frame: other } }, ["image"]],
    [{ config: { last_frame: other }, metadata: { reference_image_url: png } }, ["metadata.reference_image_url"]],
    [{ config: { first_frame: png }, metadata: { start_reference_url: other } }, ["metadata.start_reference_url"]],
    [{ config: { first_frame: png }, metadata: { start_reference_url: png } }, []],
    [{ config: { image: png }, metadata: { reference_type: "style" } }, ["metadata.reference_type"]],
  ])("of %j is %j", (job, fields) => {
    expect(ignored("video_fast", job)).toEqual(fields);
  });
});

describe("guidance", () => {
  it.each([
    [{ config: { image: png } }, 8.4],
    [{ config: { image: png }, metadata: { reference_strength: 0.5 } }, 7],
    [{ config: { last_frame: png }, metadata: { reference_strength: 1 } }, 9],
    [{ config: { last_frame: png }, metadata: { reference_strength: 0.1 } }, 5.4],
  ])("of %j is %d", (job, guidance_scale) => {
    expect(referenceDefaults(job)).toEqual({ guidance_scale });
  });

  it("is the job type's own without pictures, and with those that count nothing", () => {
    expect(referenceDefaults({ config: {}, metadata: { reference_strength: 0.5 } })).toBeUndefined();
    expect(referenceDefaults({ config: { image: png }, metadata: { reference_strength: 0 } })).toBeUndefined();
  });
});
