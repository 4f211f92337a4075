import { expect, it } from "vitest";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import { readInput } from "./job-input.ts";

const handler = {
  worker: "images",
  input: jobEnvelope.extend({ negative_prompt: z.string().optional() }),
  parameters: z.object({ steps: z.number(), width: z.number() }).partial(),
};
const options = {
  defaultType: "lake_image",
  handlerOf: (type: string) => (type === "lake_image" ? handler : undefined),
};
const read = (input: unknown, id = "a-u1") => readInput(id, input, options);

it("is our envelope, as every other producer writes it", () => {
  const envelope = { id: "of-the-app", type: "lake_image", prompt: "a lake", config: { steps: 4 }, metadata: { n: 1 } };
  expect(read(envelope)).toEqual({ job: jobEnvelope.parse(envelope) });
  expect(read({ jobId: "of-the-app", job_type: "lake_image", userId: "ann" }).job).toMatchObject({
    id: "of-the-app",
    user_id: "ann",
  });
});

it("is the fields of a job side by side, of which those that no job has are parameters", () => {
  const { job, rejection } = read({ prompt: "a lake", negative_prompt: "fog", steps: 4, width: 512, mood: "calm" });
  expect(rejection).toBeUndefined();
  expect(job).toMatchObject({ id: "a-u1", type: "lake_image", prompt: "a lake", negative_prompt: "fog" });
  expect(job.config).toEqual({ steps: 4, width: 512, mood: "calm" });
  expect(read({ steps: 4, config: { steps: 8 } }).job.config).toEqual({ steps: 8 });
});

it("may be nothing, and may have an id of RunPod's that no file can be called", () => {
  expect(read(undefined).job).toMatchObject({ id: "a-u1", type: "lake_image" });
  expect(read({}, "a/../b").job.id).toMatch(/^runpod-[0-9a-f]+$/);
});

it.each([
  [[], "must be an object"],
  [7, "must be an object"],
  [{ config: 3 }, "config"],
  [{ priority: 1000 }, "priority"],
  [{ id: "a b" }, "id"],
  [{ type: 7 }, "type"],
  [{ type: { toString: 1 } }, "type"],
  [{ job_type: [[]] }, "type"],
  [{ metadata: { runpod: { webhook: "https://other.example/" } } }, "metadata.runpod is"],
])("%j is rejected, in words", (input, words) => {
  expect(read(input).rejection).toMatchObject({ code: "INVALID_JOB", message: expect.stringContaining(words) });
});

it.each([32, 4_000, 1_000_000])("one of %i levels inside of each other is rejected, in words", (levels) => {
  const message = "The job is wrong: its input is nested deeper than 32 levels.";
  const deep: unknown = JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);
  expect(read({ prompt: "a lake", words: deep }).rejection).toMatchObject({ code: "INVALID_JOB", message });
});

it("one of more values than a job may have is rejected, in words", () => {
  const words = Array.from({ length: 10_000 }, () => 0);
  expect(read({ words }).rejection?.message).toBe("The job is wrong: its input has more than 10,000 values.");
});
