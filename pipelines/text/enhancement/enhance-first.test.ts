import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { enhanceFirst } from "./enhance-first.ts";

const idea = "a fox";
const better = "a red fox in deep snow at dawn";
const metadata = { preset: "photographic", model: "tiny", token_limit: 75 };

type Answer = { readonly enhanced_prompt?: string; readonly metadata?: Readonly<Record<string, unknown>> };
type Called = (type: string, job: Readonly<Record<string, unknown>>, signal?: AbortSignal) => Promise<Answer>;

const refusal = (code: string, permanent = false) => Object.assign(new Error(`no: ${code}`), { code, permanent });
const answered = (enhanced_prompt: string) => async () => ({ enhanced_prompt, metadata });
const failed = (error: Error) => async () => Promise.reject(error);

interface Setting {
  readonly parameters?: object;
  readonly metadata?: object;
  readonly signal?: AbortSignal;
}

/** Runs a job whose pipeline reports the prompt that it was given. */
async function run(called: Called, { parameters = {}, metadata: given = {}, signal }: Setting = {}) {
  const calls: { type: string; job: Readonly<Record<string, unknown>> }[] = [];
  const host = {
    signal: signal ?? new AbortController().signal,
    log: { warn() {} },
    parameters: async () => ({ enhance_prompt: true, ...parameters }),
    model: async () => ({ name: "tiny-sdxl", path: tinySdxl, version: "1" }),
    call(type: string, job: Readonly<Record<string, unknown>>, options?: { readonly signal?: AbortSignal }) {
      calls.push({ type, job });
      return called(type, job, options?.signal);
    },
  };
  const draw = async ({ prompt }: { readonly prompt: string }) => ({ metadata: { drawn: prompt, seed: 1 } });
  const output = await enhanceFirst(draw, "sdxl")({ prompt: idea, metadata: given }, host);
  return { output, calls, types: calls.map(({ type }) => type) };
}

it("draws from the enhanced prompt, and reports both", async () => {
  const { output, calls } = await run(answered(better), {
    parameters: { preset: "nature" },
    metadata: { conversation_context: "It is winter." },
  });
  expect(calls).toEqual([
    {
      type: "enhance_instruct",
      job: {
        prompt: idea,
        config: { target_model: "sdxl", preset: "nature" },
        metadata: { conversation_context: "It is winter." },
      },
    },
  ]);
  expect(output).toEqual({
    enhanced_prompt: better,
    metadata: {
      drawn: better,
      seed: 1,
      enhancement_type: "instruct_chat",
      enhancement_preset: "photographic",
      enhancement_model: "tiny",
      enhancement_success: true,
      enhancement_time: expect.any(Number),
      original_prompt: idea,
      enhanced_prompt: better,
      enhanced_prompt_tokens: expect.any(Number),
      enhanced_prompt_tokens_cut: 0,
    },
  });
});

it("leaves a job alone that does not ask for it", async () => {
  const { output, calls } = await run(answered(better), { parameters: { enhance_prompt: false } });
  expect(calls).toEqual([]);
  expect(output).toEqual({ metadata: { drawn: idea, seed: 1 } });
});

it("shortens at a clause what has more of the target's tokens than the preset allows", async () => {
  const long = Array.from({ length: 40 }, (_, index) => `a red fox number ${index}`).join(", ");
  const { output } = await run(answered(long));
  expect(output.metadata.enhanced_prompt_tokens).toBeLessThanOrEqual(75);
  expect(output.metadata.enhanced_prompt_tokens_cut).toBeGreaterThan(100);
  expect(long.startsWith(`${output.enhanced_prompt}, `)).toBe(true);
});

describe("the chain", () => {
  it.each<[string, Setting, readonly string[], string]>([
    ["no type", {}, ["enhance_instruct", "enhance_base"], "base"],
    ["base", { metadata: { enhancement_type: "base" } }, ["enhance_base"], "base"],
    ["chat without a session", { metadata: { enhancement_type: "chat" } }, ["enhance_base"], "base"],
    [
      "chat in a session",
      { metadata: { enhancement_type: "chat", session_id: "s" } },
      ["enhance_instruct", "enhance_base"],
      "base",
    ],
  ])("of %s goes on at once when a type is not offered", async (_type, setting, types, expected) => {
    const called: Called = async (type) =>
      type === "enhance_base" ? await answered(better)() : await failed(refusal("CALL_NOT_OFFERED"))();
    const { output, types: made } = await run(called, setting);
    expect(made).toEqual(types);
    expect(output.metadata).toMatchObject({ enhancement_type: expected, enhancement_success: true });
  });

  it("goes on with a session only where it is to, and says why not", async () => {
    const read = { session_turns: 2, session_turns_dropped: 1 };
    const inSession: Called = async () => ({ enhanced_prompt: better, metadata: { ...metadata, ...read } });
    const chat = { enhancement_type: "chat", session_id: "s" };
    const { output, calls } = await run(inSession, { metadata: chat });
    expect(calls.map(({ job }) => job.metadata)).toEqual([{ session_id: "s" }]);
    expect(output.metadata).toMatchObject({ enhancement_type: "chat", ...read });
    const other = await run(answered(better), { metadata: { session_id: "s" } });
    expect(other.calls.map(({ job }) => job.metadata)).toEqual([{}]);
    const none = await run(answered(better), { metadata: { enhancement_type: "chat" } });
    expect(none.output.metadata).toMatchObject({
      enhancement_type: "base",
      enhancement_success: true,
      fallback_reason: "there is no metadata.session_id whose conversation could go on",
    });
  });

  it("tries each type twice, and uses the prompt as it is when nothing helps", async () => {
    const { output, types } = await run(async (type) =>
      type === "enhance_base" ? await answered("A fox.")() : await failed(refusal("EXECUTOR_CRASHED"))(),
    );
    expect(types).toEqual(["enhance_instruct", "enhance_instruct", "enhance_base", "enhance_base"]);
    expect(output).toEqual({
      metadata: {
        drawn: idea,
        seed: 1,
        enhancement_type: "instruct_chat",
        enhancement_success: false,
        enhancement_time: expect.any(Number),
        original_prompt: idea,
        fallback_reason:
          "enhance_instruct: no: EXECUTOR_CRASHED; enhance_instruct: no: EXECUTOR_CRASHED; enhance_base changed nothing; enhance_base changed nothing",
      },
    });
  });

  it("does not try again what would fail again", async () => {
    const { types } = await run(failed(refusal("INVALID_JOB", true)));
    expect(types).toEqual(["enhance_instruct", "enhance_base"]);
  });

  it("ends at its time limit, while a model hangs", async () => {
    const hanging: Called = (_type, _job, signal) =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const { output, types } = await run(hanging, { parameters: { enhancement_timeout: 0.05 } });
    expect(types).toEqual(["enhance_instruct"]);
    expect(output.metadata).toMatchObject({
      drawn: idea,
      enhancement_success: false,
      fallback_reason: "enhance_instruct: the time for enhancing the prompt is over",
    });
  });

  it("is no shelter from the end of the job", async () => {
    const controller = new AbortController();
    const called: Called = async () => {
      controller.abort(new Error("cancelled"));
      throw refusal("CANCELLED");
    };
    await expect(run(called, { signal: controller.signal })).rejects.toThrow("cancelled");
  });
});

it("fails when the model's tokenizer cannot be read, as the picture would", async () => {
  const host = {
    signal: new AbortController().signal,
    log: { warn() {} },
    parameters: async () => ({ enhance_prompt: true }),
    model: async () => ({ name: "none", path: join(tinySdxl, "none"), version: "1" }),
    call: answered(better),
  };
  const enhancing = enhanceFirst(async () => ({ metadata: {} }), "sdxl");
  await expect(enhancing({ prompt: idea }, host)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
});
