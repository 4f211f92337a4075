import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { workersOfRun } from "./workers-of-run.ts";

const registry = await loadHandlers(fileURLToPath(new URL("../../handlers", import.meta.url)));

it.each([
  ["sdxl_image_fast", {}, ["sdxl"]],
  ["sdxl_image_fast", { enhance_prompt: false }, ["sdxl"]],
  ["sdxl_image_fast", { enhance_prompt: true }, ["sdxl", "chat"]],
  ["image7b_fast_enhanced", {}, ["wan", "chat"]],
  ["image7b_fast_enhanced", { enhance_prompt: false }, ["wan"]],
  ["chat", {}, ["chat"]],
])("%s with %j needs %j", (type, config, workers) => {
  const handler = registry.get(type);
  const job = jobEnvelope.parse({ id: "job", type, prompt: "a red apple", config });
  expect(handler && workersOfRun({ job, handler }, registry.all())).toEqual(workers);
});
