import { expect, it } from "vitest";
import { z } from "zod";
import type { JobSchema } from "./check-job.ts";
import { jobEnvelope } from "./job.ts";
import { schemaOf } from "./schemas.ts";
import type { JsonObject } from "./synonyms.ts";
import { unreadFields } from "./unread-fields.ts";

const image: JobSchema = {
  input: jobEnvelope,
  parameters: z.object({ num_inference_steps: z.number(), num_images: z.number(), seed: z.number() }),
};
const webhook = "https://app.example/ended";
const meant = (job: JsonObject, schema = image) =>
  unreadFields(schema, { type: "x", ...job }, ["idempotency_key"]).did_you_mean;

it.each<[string, JsonObject, Record<string, string> | undefined]>([
  ["a webhook under another name", { webhook }, { webhook: "webhook_url" }],
  ["a webhook in config", { config: { webhook_url: webhook } }, { "config.webhook_url": "webhook_url" }],
  ["a callback's address", { config: { callbackUrl: webhook } }, { "config.callbackUrl": "webhook_url" }],
  ["a name in another spelling", { config: { numImages: 2 } }, { "config.numImages": "config.num_images" }],
  ["a group of fields", { Config: { seed: 2 }, config: {} }, { Config: "config" }],
  ["a parameter at the top", { seed: 2 }, { seed: "config.seed" }],
  ["a field of the job in config", { config: { priority: 2 } }, { "config.priority": "priority" }],
  ["a queueing field in another spelling", { idempotencyKey: "a" }, { idempotencyKey: "idempotency_key" }],
  [
    "one letter",
    { promt: "a lake", config: { num_image: 2 } },
    { promt: "prompt", "config.num_image": "config.num_images" },
  ],
  ["a synonym, one letter away", { config: { step: 4 } }, { "config.step": "config.steps" }],
  ["nothing near", { config: { novelty: 1, size: "x" } }, undefined],
  ["what is given too", { webhook, webhook_url: webhook, promt: "a", prompt: "a lake" }, undefined],
])("%s: %j", (_what, job, expected) => {
  expect(meant(job)).toEqual(expected);
});

it("names nothing for a known field that this job gives in vain", () => {
  const schema = schemaOf("sdxl_image_fast");
  const job = { prompt: "a lake", config: { strength: 0.5 }, metadata: { reference_strength: 0.5 } };
  expect(schema && unreadFields(schema, { type: "sdxl_image_fast", ...job })).toEqual({
    ignored: ["config.strength", "metadata.reference_strength"],
  });
});

it("names a hundred fields of a job with more, and looks for what was meant by the first twenty", () => {
  const config = Object.fromEntries(
    Array.from({ length: 130 }, (_, at) => [`see${String.fromCodePoint(0x100 + at)}`, 1]),
  );
  const { ignored, ignored_more, did_you_mean } = unreadFields(image, { type: "x", config });
  expect(ignored).toEqual(
    Object.keys(config)
      .slice(0, 100)
      .map((name) => `config.${name}`),
  );
  expect(ignored_more).toBe(30);
  expect(did_you_mean).toEqual(Object.fromEntries(ignored.slice(0, 20).map((name) => [name, "config.seed"])));
});
