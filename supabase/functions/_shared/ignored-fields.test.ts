import { expect, it } from "vitest";
import { z } from "zod";
import type { JobSchema } from "./check-job.ts";
import { ignoredBy, ignoredFields, namedOf } from "./ignored-fields.ts";
import { jobEnvelope } from "./job.ts";
import { schemaOf } from "./schemas.ts";
import type { JsonObject } from "./synonyms.ts";

const image: JobSchema = { input: jobEnvelope, parameters: z.object({ num_inference_steps: z.number() }) };
const many = (count: number, prefix: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${prefix}_${at}`, 1]));

/** The object, and how often one of its fields was read. */
function watched(object: JsonObject) {
  const seen = { reads: 0 };
  const proxy = new Proxy(object, {
    get(target, name) {
      seen.reads++;
      return Reflect.get(target, name);
    },
  });
  return { proxy, seen };
}

it.each(["config", "metadata", "the top"])("looks at each of 50,000 fields of %s once, and copies few", (place) => {
  const { proxy, seen } = watched({ ...many(50_000, "see"), type: "x", prompt: "a lake" });
  ignoredFields(image, place === "the top" ? proxy : { type: "x", [place]: proxy });
  expect(seen.reads).toBeLessThan(51_000);
});

it("names a hundred of them, and says how many more there are", () => {
  const job = { type: "x", ...many(300, "top"), config: many(50_000, "see"), metadata: many(50_000, "app") };
  expect(ignoredFields(image, job)).toEqual({
    ignored: Object.keys(many(100, "top")),
    ignored_more: 50_200,
  });
  expect(ignoredBy(image, job)).toEqual({ ignored: Object.keys(many(100, "see")), ignored_more: 49_900 });
});

it("says the same of known fields, however many others stand before them", () => {
  const given = { config: { steps: 4, sample_steps: 5, empty: null }, metadata: { steps: 3, first_frame: "a" } };
  const among = (count: number) => ({
    type: "x",
    config: { ...many(count, "see"), ...given.config },
    metadata: { ...many(count, "app"), ...given.metadata },
  });
  const few = ignoredBy(image, among(0));
  expect(few).toEqual({ ignored: ["steps", "metadata.steps", "metadata.first_frame"] });
  // Those that have a meaning are never left out; a name stands where its field does.
  expect(ignoredBy(image, among(97))).toEqual({ ignored: [...Object.keys(many(97, "see")), ...few.ignored] });
  expect(ignoredBy(image, among(200))).toEqual({ ignored: Object.keys(many(100, "see")), ignored_more: 103 });
});

it("finds what a job gives in vain behind a thousand fields of the app", () => {
  const schema = schemaOf("sdxl_image_fast");
  const job = {
    type: "sdxl_image_fast",
    prompt: "a lake",
    metadata: { ...many(1000, "app"), reference_strength: 0.5 },
  };
  expect(schema && ignoredBy(schema, job)).toEqual({ ignored: ["metadata.reference_strength"] });
});

it("leaves the config of a type without parameters to its own code", () => {
  const { parameters, ...plain } = image;
  expect(ignoredFields(plain, { type: "x", config: many(50_000, "see") })).toEqual({ ignored: [] });
});

it("counts on from what was left out before", () => {
  expect(namedOf(Object.keys(many(101, "see")), 4)).toEqual({
    ignored: Object.keys(many(100, "see")),
    ignored_more: 5,
  });
});
