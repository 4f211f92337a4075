import { expect, it } from "vitest";
import { checkJob } from "./check-job.ts";
import { ignoredBy } from "./ignored-fields.ts";
import { schemaOf } from "./schemas.ts";
import type { JsonObject } from "./synonyms.ts";

const base = { id: "job-1", type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: "user-1" };
const lines = "https://files.test/lines.png";

function schema() {
  const found = schemaOf("sdxl_image_fast");
  if (found === undefined) throw new Error("the contract knows the job type");
  return found;
}

const refused = (config: JsonObject, metadata: JsonObject = {}) => {
  const result = checkJob(schema(), { ...base, config, metadata });
  return result.ok ? [] : result.problems.map(({ field, message }) => `${field} ${message}`);
};

const ignored = (config: JsonObject, metadata: JsonObject = {}) =>
  ignoredBy(schema(), { ...base, config, metadata }).ignored;

const typed = (reference_type: string) => ({ reference_image_url: "https://files.test/a.png", reference_type });

it("takes control pictures and pictures beside the prompt, with and without a reference", () => {
  const control = { control_image_url: lines, control_type: "canny", guess_mode: true, control_guidance_end: "0.6" };
  const beside = { ip_adapter_image_url: lines, ip_adapter_scale: 0.4 };
  expect(refused({ ...control, ...beside })).toEqual([]);
  expect(refused({ ...control, ...beside, pipeline: "txt2img" })).toEqual([]);
  expect(refused({ ...control, ...beside }, { reference_image_url: "https://files.test/a.png" })).toEqual([]);
  expect(refused(control, typed("style"))).toEqual([]);
  expect(refused(beside, typed("composition"))).toEqual([]);
});

it.each<[JsonObject, JsonObject, string]>([
  [{ controlnet_conditioning_scale: 3 }, {}, "config.controlnet_conditioning_scale must be a number from 0 to 2"],
  [{ ip_adapter_scale: -1 }, {}, "config.ip_adapter_scale must be a number from 0 to 2"],
  [
    { control_guidance_start: 0.7, control_guidance_end: 0.7 },
    {},
    "config.control_guidance_end must be more than control_guidance_start (0.7)",
  ],
  [{ control_guidance_start: 1 }, {}, "config.control_guidance_start must be less than control_guidance_end (1)"],
  [
    { control_type: "Canny edges" },
    {},
    "config.control_type must be the name of one of the model's ControlNets: canny, depth, or what its folder is called by",
  ],
  [
    { controlnet: "canny" },
    {},
    "config.controlnet must be left out: give a control picture as config.control_image_url",
  ],
  [{ ip_adapter: lines }, {}, "config.ip_adapter must be left out: give the picture as config.ip_adapter_image_url"],
  [
    { control_image_url: lines },
    typed("composition"),
    'config.control_image_url must be left out: metadata.reference_type "composition" takes the layout from the reference',
  ],
  [
    { ip_adapter_image_url: lines },
    typed("style"),
    'config.ip_adapter_image_url must be left out: metadata.reference_type "style" takes the reference for it',
  ],
  [
    { control_image_url: lines },
    { ...typed("style"), exact_copy_mode: true },
    "config.control_image_url must be left out: an exact copy draws nothing anew",
  ],
])("%j with %j is refused", (config, metadata, problem) => {
  expect(refused(config, metadata)).toContain(problem);
});

it("lists what tunes a picture that is not there", () => {
  const tuning = {
    controlnet_conditioning_scale: 0.5,
    control_type: "canny",
    guess_mode: false,
    ip_adapter_scale: 0.5,
  };
  expect(ignored(tuning)).toEqual(Object.keys(tuning));
  expect(ignored(tuning, typed("composition"))).toEqual(["ip_adapter_scale"]);
  expect(ignored(tuning, typed("character"))).toEqual(Object.keys(tuning).slice(0, 3));
  expect(ignored({ ...tuning, control_image_url: lines, ip_adapter_image_url: lines })).toEqual([]);
});
