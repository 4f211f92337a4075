import { describe, expect, it } from "vitest";
import { checkJob, type JobSchema } from "./check-job.ts";
import { ignoredBy } from "./ignored-fields.ts";
import { inputFieldsOf } from "./input-fields.ts";
import { schemaOf } from "./schemas.ts";

const png = "https://a.example/1.png";
const mp4 = "https://a.example/1.mp4";

function schema(type: string): JobSchema {
  const known = schemaOf(type);
  if (known === undefined) throw new Error(`there is no job type ${type}`);
  return known;
}

/** What is wrong with a job, as `field message`; nothing where it is accepted. */
function problemsOf(type: string, config: object, metadata: object = {}): string[] {
  const result = checkJob(schema(type), { id: "job-1", type, prompt: "a lake", config, metadata });
  return result.ok ? [] : result.problems.map(({ field, message }) => `${field} ${message}`);
}

describe.each(["vace", "vace_21", "vace_22"])("a job of the type %s", (type) => {
  it.each([
    {},
    { video_guide: mp4 },
    { video_guide_path: mp4, video_mask: png, control_scale: "0.5" },
    { video_guide: mp4, video_mask: mp4, image_refs: [png, png], control_scale: [1, 0, 0.25] },
    { image_refs: png, image: png },
    { first_frame: png, last_frame: png, image_refs: [] },
    { video_guide: "", video_mask: "", image_refs: [""], control_scale: null },
  ])("may have %j", (config) => {
    expect(problemsOf(type, config)).toEqual([]);
  });

  it("lists files that are empty texts as ignored", () => {
    const config = { video_guide_path: "", image_refs: [""], video_mask: "", first_frame: png, last_frame: null };
    const listed = ignoredBy(schema(type), { type, prompt: "a lake", config }).ignored;
    expect(listed.toSorted()).toEqual(["image_refs", "video_guide_path", "video_mask"]);
    expect(ignoredBy(schema(type), { type, prompt: "a lake", config: { image_refs: [png, ""] } }).ignored).toEqual([]);
  });

  it.each([
    [{ video_mask: mp4 }, ["config.video_mask must be left out without config.video_guide, which it is a mask of"]],
    [
      { video_guide: mp4, first_frame: png },
      ["config.first_frame must be left out beside config.video_guide, which has the first and the last frame"],
    ],
    [{ image_refs: Array(9).fill(png) }, ["config.image_refs must be a list of at most 8 URLs"]],
    [{ image_refs: [7] }, ["config.image_refs.0 must be a URL"]],
    [{ video_guide: ["a"] }, ["config.video_guide must be a URL"]],
    [{ frame_num: 16 }, ["config.frame_num must be a whole number from 17 to 161"]],
    ...[-0.1, 2.1, [], [1, "much"], "strong"].map((control_scale): [object, string[]] => [
      { control_scale },
      [
        expect.stringMatching(
          /^config\.control_scale(?:\.1)? must be a number from 0 to 2, or a list of such numbers, /,
        ),
      ],
    ]),
  ])("may not have %j", (config, problems) => {
    expect(problemsOf(type, config)).toEqual(problems);
  });
});

it("refuses a last frame in metadata beside a control video too", () => {
  expect(problemsOf("vace", { video_guide: mp4 }, { end_reference_url: png })).toEqual([
    "metadata.end_reference_url must be left out beside config.video_guide, which has the first and the last frame",
  ]);
});

it("reads numbers that are texts, in a list too, and one picture as a list", () => {
  const { input, parameters } = schema("vace");
  const job = { id: "job-1", type: "vace", prompt: "a lake", config: { image_refs: png } };
  expect(input.parse(job)).toMatchObject({ config: { image_refs: [png] } });
  const sampling = { num_inference_steps: 25, guidance_scale: 7.5 };
  expect(parameters?.parse({ ...sampling, control_scale: ["1.5", 0] })).toMatchObject({ control_scale: [1.5, 0] });
});

it("lists what plays no part", () => {
  const ignored = (config: object, metadata = {}) =>
    ignoredBy(schema("vace"), { type: "vace", config, metadata }).ignored;
  const tuning = { control_scale: 1, reference_fit: "cover", reference_background: "white" };
  expect(ignored(tuning)).toEqual(["reference_fit", "reference_background", "control_scale"]);
  expect(ignored({ ...tuning, video_guide: mp4 })).toEqual(["reference_background"]);
  expect(ignored({ ...tuning, image_refs: [png] })).toEqual(["reference_fit"]);
  expect(ignored({ ...tuning, first_frame: png })).toEqual([]);
  expect(ignored({ image_refs: [png] }, { reference_strength: 1 })).toEqual(["metadata.reference_strength"]);
});

it("says which files its fields take", () => {
  expect(inputFieldsOf(schema("vace"))).toEqual(
    expect.arrayContaining([
      { path: ["config", "video_guide"], takes: "video" },
      { path: ["config", "video_mask"], takes: "picture or video" },
      { path: ["config", "image_refs"], takes: "picture" },
    ]),
  );
});
