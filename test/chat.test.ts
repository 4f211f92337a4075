import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { makeEndless } from "./support/endless-model.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";

/* The job type of the language model from the queue to the store, with a model of random weights. */

vi.setConfig({ testTimeout: 90_000 });

const fixture = (name: string) => join(import.meta.dirname, "../pipelines/chat/fixtures", name);
let models: string;
let container: TestRuntime;

beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "ourvidz-chat-models-"));
  symlinkSync(fixture("tiny-qwen2"), join(models, "chat"));
  symlinkSync(fixture("tiny-gemma"), join(models, "gemma"));
  makeEndless(join(models, "endless"));
  const settings = { HANDLERS_DIR: join(import.meta.dirname, "../handlers"), MODELS_DIR: models, WORKERS: "chat" };
  container = await startTestRuntime(settings);
});

afterAll(async () => {
  await container.stop();
  await container.remove();
  rmSync(models, { recursive: true });
});

async function run(config: Record<string, unknown>, fields: Record<string, unknown> = {}) {
  return await container.ended(await container.submit("chat", config, fields));
}

it("answers a prompt with a text, by the model's own settings where the job has none", async () => {
  const { status, result } = await run({ max_tokens: 8, seed: 5 });
  expect(status).toBe("completed");
  expect(result).toMatchObject({
    assets: [],
    text: expect.stringMatching(/\S{3}/),
    metadata: {
      tokens_generated: 8,
      finish_reason: "length",
      seed: 5,
      model: "chat",
      content_type: "text",
      ignored: [],
      parameters: { temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.05, max_tokens: 8 },
    },
  });
  expect((await run({ max_tokens: 8, seed: 5 })).result?.text).toBe(result?.text);
});

it("answers a conversation with the model that the job names", async () => {
  const messages = ["hello", "I can draw an apple.", "Draw it."].map((content, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content,
  }));
  const { result } = await run(
    { temperature: 0, max_tokens: 4, messages },
    { prompt: undefined, model_variant: "gemma" },
  );
  expect(result?.metadata).toMatchObject({ model: "gemma", tokens_generated: 4 });
});

it.each([
  [{}, { prompt: "x".repeat(100_000) }, /prompt .*must be 1 to 8,000 characters/],
  [{ max_tokens: 0 }, {}, /max_tokens is 0: must be a whole number from 1 to 2,048/],
  [{ temperature: 3 }, {}, /temperature is 3: must be a number from 0 to 2/],
  [{ messages: [] }, { prompt: undefined }, /messages .*must not be empty/],
])("refuses %j in one sentence, for good", async (config, fields, message) => {
  const { status, error, attempt } = await run(config, fields);
  expect({ status, attempt, code: error?.code }).toEqual({ status: "failed", attempt: 1, code: "INVALID_JOB" });
  expect(error?.message).toMatch(message);
});

it("ends within a token when the job is cancelled, and goes on with the next", async () => {
  const id = await container.submit("chat", { max_tokens: 2000, temperature: 1 }, { model_variant: "endless" });
  await untilEvent(container, id, (event) => event.kind === "text");
  await container.queue.cancel(id);
  expect((await container.ended(id)).status).toBe("cancelled");
  expect((await run({ max_tokens: 2 })).status).toBe("completed");
});

it("fails a job whose messages the model's template refuses, with its words", async () => {
  const messages = ["one", "two"].map((content) => ({ role: "user", content }));
  const { status, error } = await run({ messages }, { prompt: undefined, model_variant: "gemma" });
  expect([status, error]).toMatchObject([
    "failed",
    { code: "INVALID_JOB", message: expect.stringContaining("roles must alternate") },
  ]);
});
