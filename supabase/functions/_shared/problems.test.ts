import { describe, expect, it } from "vitest";
import { z } from "zod";
import { toErrorReport } from "./errors.ts";
import { describeProblems, fieldProblems, invalidJob, parseWith, unknownJobType } from "./problems.ts";

function problemsOf(schema: z.ZodType, input: unknown) {
  const result = parseWith(schema, input);
  return result.ok ? [] : result.problems;
}

describe("one message per field, in the project's words", () => {
  it.each([
    [z.string(), 1, "must be a text"],
    [z.number(), "a", "must be a number"],
    [z.int(), 1.5, "must be a whole number"],
    [z.boolean(), 1, "must be true or false"],
    [z.array(z.string()), {}, "must be a list"],
    [z.looseObject({}), [], "must be an object"],
    [z.record(z.string(), z.unknown()), 1, "must be an object"],
    [z.enum(["a", "b", "c"]), "d", 'must be "a", "b" or "c"'],
    [z.literal(5), 4, "must be 5"],
    [z.number().min(3), 2, "must be at least 3"],
    [z.number().gt(3), 3, "must be more than 3"],
    [z.number().max(3), 4, "must be at most 3"],
    [z.number().lt(3), 3, "must be less than 3"],
    [z.string().min(3), "a", "must be at least 3 characters long"],
    [z.array(z.number()).max(1), [1, 2], "must be at most 1 entry long"],
    [z.number().multipleOf(4), 5, "must be a multiple of 4"],
    [z.string().regex(/b/), "a", "must match /b/"],
    [z.string().startsWith("input:"), "a", 'must begin with "input:"'],
    [z.uuid(), "a", "must be a UUID, for example 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111"],
    [z.iso.datetime(), "a", "must be a time, for example 2026-11-28T12:00:00Z"],
    [z.url(), "a", "must be an address, for example https://example.com/path"],
    [z.base64(), "?", "must be of the form base64"],
    [z.undefined(), 1, "must be left out"],
    [z.date(), "a", "must be a date"],
    [z.custom<string>(() => false), "a", "is not allowed"],
    [z.strictObject({}), { b: 1 }, "has unknown keys: b"],
    [z.string("must be a colour"), 1, "must be a colour"],
    [z.union([z.string(), z.number()]), true, "must be a text or a number"],
    [z.union([z.string(), z.number()], "must be a name or a number"), true, "must be a name or a number"],
    [z.union([z.literal("a"), z.array(z.string())]), 1, 'must be "a" or a list'],
  ])("%#", (schema, value, message) => {
    expect(problemsOf(z.object({ field: schema }), { field: value })).toEqual([{ field: "field", value, message }]);
  });

  it("says of what is missing that it must be given", () => {
    const schema = z.object({ a: z.string().optional().nonoptional(), b: z.string(), c: z.object({}) });
    expect(describeProblems(problemsOf(schema, {}))).toBe(
      "a is missing: must be given; b is missing: must be a text; c is missing: must be an object",
    );
  });

  it("tells the issues of the union's branch that was meant", () => {
    const union = z.union([z.string(), z.object({ url: z.string(), scale: z.number() })]);
    expect(problemsOf(z.object({ lora: union }), { lora: { url: "a", scale: "b" } })).toEqual([
      { field: "lora.scale", value: "b", message: "must be a number" },
    ]);
  });
});

it("shortens and redacts values", () => {
  const schema = z.object({ a: z.number(), b: z.number(), c: z.number(), d: z.number() });
  const input = { a: "x".repeat(500), b: "https://files.test/a?token=abc", c: { token: "abc" }, d: Array(500).fill(1) };
  expect(problemsOf(schema, input).map(({ value }) => value)).toEqual([
    `${"x".repeat(120)}… (500 characters)`,
    "https://files.test/a?token=[redacted]",
    { token: "[redacted]" },
    `[${"1,".repeat(59)}1… (1,001 characters)`,
  ]);
});

it("finds the values of an error that was made without them", () => {
  const schema = z.object({ list: z.array(z.object({ size: z.number() })) });
  const input = { list: [{ size: "big" }] };
  const { error } = schema.safeParse(input);
  if (!error) throw new Error("accepted");
  expect(fieldProblems(error, input)).toMatchObject([{ field: "list.0.size", value: "big" }]);
  for (const other of [undefined, { list: null }, { list: ["big"] }]) {
    expect(fieldProblems(error, other)).toMatchObject([{ field: "list.0.size" }]);
    expect(fieldProblems(error, other)[0]).not.toHaveProperty("value");
  }
  expect(problemsOf(z.object({ config: z.object({ steps: z.object({ n: z.number() }) }) }), "x")).toMatchObject([
    { field: "job", value: "x" },
  ]);
});

it("makes one sentence of all problems and one permanent error of the sentence", () => {
  const problems = [
    { field: "config.num_images", value: 2, message: "must be 1, 3 or 6" },
    { field: "prompt", message: "must be 1 to 8,000 characters" },
    { field: "config.size", value: "big", message: 'must be "WIDTH*HEIGHT"' },
  ];
  const sentence =
    'config.num_images is 2: must be 1, 3 or 6; prompt is missing: must be 1 to 8,000 characters; config.size is "big": must be "WIDTH*HEIGHT"';
  expect(describeProblems(problems)).toBe(sentence);
  expect(toErrorReport(invalidJob(problems))).toEqual({
    code: "INVALID_JOB",
    message: `The job is invalid: ${sentence}`,
    details: problems,
  });
});

it("bounds a sentence about very many problems", () => {
  const problems = Array.from({ length: 1000 }, (_, index) => ({ field: `f.${index}`, message: "must be a text" }));
  expect(describeProblems(problems)).toMatch(/f\.49 is missing: must be a text; and 950 more$/);
});

it("lists the known types for an unknown one", () => {
  const error = unknownJobType("sdxl_image_slow", ["video_fast", "chat"]);
  expect(toErrorReport(error)).toEqual({
    code: "UNKNOWN_JOB_TYPE",
    message: 'Job type "sdxl_image_slow" is unknown: must be "chat" or "video_fast"',
    details: { type: "sdxl_image_slow", known: ["chat", "video_fast"] },
  });
});
