import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* Prompts enhanced by the language model that ships, before the models that ship draw from them. */

vi.setConfig({ testTimeout: 120_000 });

const root = join(import.meta.dirname, "..");
let container: TestRuntime;

beforeAll(async () => {
  const folders = { HANDLERS_DIR: join(root, "handlers"), MODELS_DIR: join(root, "models") };
  container = await startTestRuntime({ ...folders, WORKERS: "wan,sdxl,chat" });
});

afterAll(async () => {
  await container.stop();
  await container.remove();
});

const idea = "apple";
const small = { size: "64*64", num_inference_steps: 2, seed: 7 };

async function run(type: string, config: object = {}, metadata: object = {}) {
  const id = await container.submit(type, { ...small, ...config }, { prompt: idea, metadata });
  const { status, error, result } = await container.ended(id);
  expect([status, error]).toEqual(["completed", null]);
  return result;
}

describe("a job with an enhanced prompt", () => {
  it("draws from what the model made of it, and says so in its result", async () => {
    const result = await run("image7b_fast_enhanced", { width: 64, height: 64, size: undefined });
    const { enhanced_prompt } = Object(result?.metadata);
    expect(enhanced_prompt).toMatch(/\bapple\b.* background$/);
    expect(result?.metadata).toMatchObject({
      enhancement_type: "instruct_chat",
      enhancement_success: true,
      enhancement_preset: "photographic",
      enhancement_model: "tiny-qwen",
      original_prompt: idea,
      enhanced_prompt_tokens: expect.any(Number),
      enhancement_time: expect.any(Number),
      parameters: { enhance_prompt: true },
      ignored: [],
    });
    expect(Object(result?.metadata).prompt_tokens).toBe(Object(result?.metadata).enhanced_prompt_tokens + 1);
  });

  it("takes the way through examples when the job says so", async () => {
    const config = { enhance_prompt: true, width: 64, height: 64, size: undefined };
    const result = await run("sdxl_generate", { ...config, guidance_scale: 5 }, { enhancement_type: "base" });
    expect(result?.metadata).toMatchObject({
      enhancement_type: "base",
      enhancement_success: true,
      original_prompt: idea,
      enhanced_prompt: expect.stringMatching(/\bapple\b.* background$/),
    });
  });

  it("draws from the prompt as it is when time is short, and says why", async () => {
    const config = { enhancement_timeout: 1, preset: "fog", width: 64, height: 64, size: undefined };
    const result = await run("image7b_fast_enhanced", config);
    expect(result?.metadata).toMatchObject({
      enhancement_success: false,
      original_prompt: idea,
      fallback_reason: expect.stringMatching(/^enhance_instruct: .*must be one of "cinematic"/),
    });
    expect(result?.metadata).not.toHaveProperty("enhanced_prompt");
  });
});

/* What newcomers may type, with words that the model was never shown ("street", "knight") or nobody has heard of. */
it.each([
  ["enhance_instruct", "photographic", "sdxl", "a street in old paris"],
  ["enhance_instruct", "photographic", "wan", "two dogs"],
  ["enhance_instruct", "illustration", "sdxl", "knight"],
  ["enhance_instruct", "nature", "sdxl", "a flimmerwick"],
  ["enhance_base", "photographic", "sdxl", "zorble"],
  ["enhance_base", "cinematic", "sdxl", "old blue car"],
  ["enhance_base", "nature", "wan", "lighthouse"],
])("%s keeps the words of an idea with %s for %s: %s", async (type, preset, target, prompt) => {
  const config = { preset, target_model: target, temperature: 0, repetition_penalty: 1 };
  const id = await container.submit(type, config, { prompt });
  const { status, result } = await container.ended(id);
  expect(status).toBe("completed");
  const written = String(result?.text).split(/[ ,]+/);
  expect(written).toEqual(expect.arrayContaining(prompt.split(" ")));
  expect(written.length).toBeGreaterThan(prompt.split(" ").length + 1);
  expect(result?.metadata).toMatchObject({ success: true, original_prompt: prompt });
});

it("nobody waits for ever while every executor is at work and calls the language model, or is the language model", async () => {
  const small = { width: 64, height: 64, num_inference_steps: 2, seed: 7, guidance_scale: 5, enhance_prompt: true };
  const [wan, sdxl, chat] = [
    ["image7b_fast_enhanced", small],
    ["sdxl_generate", small],
    ["chat", { max_tokens: 20 }],
  ] as const;
  const jobs = await Promise.all(
    [wan, sdxl, chat, wan, sdxl, chat, wan, sdxl, chat].map(([type, config]) =>
      container.submit(type, config, { prompt: idea }),
    ),
  );
  const asked = ["chat", "enhance_instruct", "enhance_base", "chat"].map((type) =>
    container.calls.callNow({ type, job: { prompt: idea }, signal: new AbortController().signal }),
  );
  const ends = await Promise.all(jobs.map(async (id) => (await container.ended(id)).status));
  expect(ends).toEqual(jobs.map(() => "completed"));
  expect(await Promise.all(asked)).toHaveLength(4);
});
