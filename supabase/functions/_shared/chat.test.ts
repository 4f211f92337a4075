import { describe, expect, it } from "vitest";
import type { z } from "zod";
import {
  chatJob,
  chatParameters,
  chatRequest,
  enhanceJob,
  enhanceParameters,
  enhanceRequest,
  messagesOf,
} from "./chat.ts";
import { checkJob } from "./check-job.ts";
import { resolveParameters } from "./parameters.ts";
import { describeProblems, parseWith } from "./problems.ts";

const base = { id: "job-1", type: "chat" };
const question = { role: "user", content: "name three alpine flowers" };

function accepted<Schema extends z.ZodType>(schema: Schema, input: unknown) {
  const result = parseWith(schema, input);
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return result.value;
}

function refused(schema: z.ZodType, input: unknown) {
  const result = parseWith(schema, input);
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.value)}`);
  return result.problems;
}

it("reads a request with an id and a type as a job", () => {
  const settings = { max_tokens: 100, temperature: 0, top_p: "0.9", stop: "###", seed: 0, stream: true };
  expect(accepted(chatJob, { ...base, messages: [question], ...settings, config: { max_tokens: 50 } })).toEqual({
    ...base,
    user_id: "anonymous",
    priority: 0,
    messages: [question],
    config: { max_tokens: 50, temperature: 0, top_p: "0.9", stop: "###", seed: 0, stream: true },
    metadata: {},
  });
});

it("resolves the settings of a job as parameters", () => {
  const { config: explicit } = accepted(enhanceJob, { ...base, prompt: "a", top_p: "0.9", stop: "###" });
  expect(resolveParameters(chatParameters, { explicit }).values).toEqual({ top_p: 0.9, stop: ["###"] });
});

it("finds the messages in config", () => {
  const job = accepted(chatJob, { ...base, config: { messages: [question] } });
  expect(job).toMatchObject({ messages: [question], config: {} });
  expect(job.config).not.toHaveProperty("messages");
});

it("prefers the messages at the top level", () => {
  const job = accepted(chatJob, { ...base, messages: [question], config: { messages: [] } });
  expect(job).toMatchObject({ messages: [question], config: { messages: [] } });
});

it("takes a prompt for the user's only turn", () => {
  expect(messagesOf(accepted(chatRequest, { prompt: "hello there" }))).toEqual([
    { role: "user", content: "hello there" },
  ]);
  expect(messagesOf(accepted(chatRequest, { messages: [question] }))).toEqual([question]);
});

describe.each([
  ["request", chatRequest, {}],
  ["job", chatJob, base],
])("a chat %s", (_, schema, envelope) => {
  it.each([
    [{}, "prompt", "must be given, or else messages"],
    [{ prompt: "a", messages: [question] }, "messages", "must be left out where there is a prompt"],
    [{ messages: [] }, "messages", "must not be empty"],
    [{ messages: "hello" }, "messages", "must be a list of messages"],
    [
      { messages: [{ role: "robot", content: "a" }, question] },
      "messages.0.role",
      'must be "system", "user" or "assistant"',
    ],
    [{ messages: [question, { role: "user" }] }, "messages.1.content", "must be a text"],
    [
      { messages: [{ role: "system", content: "a" }] },
      "messages",
      "must contain a message of the user's that is not only white space",
    ],
    [{ prompt: "  " }, "prompt", "must be 1 to 8,000 characters and not only white space"],
  ])("%j", (given, field, message) => {
    expect(refused(schema, { ...envelope, ...given })).toContainEqual(expect.objectContaining({ field, message }));
  });
});

it.each([
  [{ max_tokens: 2049 }, "must be a whole number from 1 to 2,048"],
  [{ max_tokens: 0 }, "must be a whole number from 1 to 2,048"],
  [{ temperature: 2.1 }, "must be a number from 0 to 2"],
  [{ top_p: 1.1 }, "must be a number from 0 to 1"],
  [{ top_k: 1.5 }, "must be a whole number from 0 to 1,000"],
  [{ repetition_penalty: 0 }, "must be a number from 0.5 to 2"],
  [{ stop: 7 }, "must be a text or a list of texts"],
  [{ stop: Array.from({ length: 9 }, () => "a") }, "must be at most 8 texts"],
  [{ target_model: "flux" }, 'must be "sdxl" or "wan"'],
])("setting %j", (settings, message) => {
  const [name] = Object.keys(settings);
  const job = { ...base, prompt: "a", config: settings };
  expect(checkJob({ input: enhanceJob, parameters: enhanceParameters }, job)).toMatchObject({
    problems: [{ field: `config.${name}`, message }],
  });
  expect(refused(enhanceRequest, { prompt: "a", ...settings })).toMatchObject([{ field: name, message }]);
});

it("reports a config or a job that is not an object", () => {
  expect(refused(enhanceJob, { ...base, prompt: "a", top_p: 9, config: "x" })).toMatchObject([{ field: "config" }]);
  for (const input of ["x", null]) expect(refused(chatJob, input)).toMatchObject([{ field: "job" }]);
});

it("an enhancement needs a prompt", () => {
  expect(refused(enhanceJob, { ...base, type: "enhance_base", messages: [question] })).toMatchObject([
    { field: "prompt" },
  ]);
  expect(
    accepted(enhanceRequest, { prompt: "a fox", model: "qwen_base", enhance_type: "natural_language" }),
  ).toMatchObject({
    model: "qwen_base",
  });
});
