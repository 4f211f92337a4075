import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { makeSlow } from "./support/slow-model.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";

/* A language model that hangs in one token, one whose process is stopped, one that takes no instructions: who waits goes on. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = join(import.meta.dirname, "..");
const models = mkdtempSync(join(tmpdir(), "ourvidz-hanging-"));
let app: CallbackServer;
let container: TestContainer;

beforeAll(async () => {
  app = await startCallbackServer();
  for (const name of ["tiny-qwen", "tiny-sdxl", "tiny-wan"])
    symlinkSync(join(root, "models", name), join(models, name));
  makeSlow(join(models, "hangs"));
  cpSync(join(root, "models/tiny-qwen"), join(models, "plain"), { recursive: true });
  const tokenizerFile = join(models, "plain/tokenizer_config.json");
  const { chat_template: _template, ...others } = Object(JSON.parse(readFileSync(tokenizerFile, "utf8")));
  writeFileSync(tokenizerFile, JSON.stringify(others));
  useForJobs("hangs");
  container = await startContainer({
    HANDLERS_DIR: join(root, "handlers"),
    MODELS_DIR: models,
    WORKERS: "wan,chat",
    ABORT_GRACE_SECONDS: "0.5",
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
  });
  const isReady = () => expect(container.runtime.executors.get("chat")?.status.state).toBe("idle");
  await vi.waitFor(isReady, { timeout: 60_000 });
});

afterAll(async () => {
  await container.stop();
  await app.close();
  rmSync(models, { recursive: true });
});

/** What jobs have their prompts enhanced by: they do not name it. */
function useForJobs(model: string): void {
  const aliases = { chat: model, sdxl: "tiny-sdxl", wan: "tiny-wan" };
  writeFileSync(join(models, "aliases.json"), JSON.stringify(aliases));
}

const idea = "apple";
const executorPid = () => container.runtime.executors.get("chat")?.status.pid ?? 0;

const enhance = async (fields: object = {}) => {
  const { status, json } = await container.call("POST", "/enhance", { body: { prompt: idea, ...fields } });
  return { status, ...Object(json) };
};

/** By a model that does its work, on whatever process is there then. */
async function expectGoodAnswer(): Promise<void> {
  const answer = await enhance({ model: "tiny-qwen", temperature: 0 });
  expect(answer).toMatchObject({ status: 200, success: true, enhancement_source: "instruct", model: "tiny-qwen" });
}

const original = { success: false, enhanced_prompt: idea, original_prompt: idea, enhancement_source: "original" };

it("/enhance gives the prompt back when its time is over, and the next one has another process", async () => {
  const pid = executorPid();
  // Long enough for the model to be loaded, and for its first token to hang.
  expect(await enhance({ enhancement_timeout: 5 })).toEqual({
    status: 200,
    ...original,
    processing_time: expect.any(Number),
    fallback_reason: "enhance_instruct: the time for enhancing is over",
  });
  await expectGoodAnswer();
  expect(executorPid()).not.toBe(pid);
});

it("/enhance/instruct and /enhance/base say that the time is over", async () => {
  for (const path of ["/enhance/instruct", "/enhance/base"]) {
    const { status, json } = await container.call("POST", path, { body: { prompt: idea, enhancement_timeout: 1 } });
    expect([path, status, Object(json).code]).toEqual([path, 504, "TIMED_OUT"]);
  }
});

it("/enhance gives the prompt back while the process of the model is stopped", async () => {
  await expectGoodAnswer();
  const pid = executorPid();
  process.kill(pid, "SIGSTOP");
  const answer = await enhance({ model: "tiny-qwen", enhancement_timeout: 1 });
  expect(answer).toMatchObject({ ...original, fallback_reason: expect.stringMatching(/: the time .* is over$/) });
  await expectGoodAnswer();
  expect(executorPid()).not.toBe(pid);
});

async function drawn(config: object = {}) {
  const small = { width: 64, height: 64, num_inference_steps: 2, seed: 7 };
  const id = await container.runtime.submit("image7b_fast_enhanced", { ...small, ...config }, { prompt: idea });
  const { status, attempts } = await container.runtime.ended(id);
  expect([status, attempts.length]).toEqual(["completed", 1]);
  const callbacks = () => [...app.known.values()].filter(({ job_id }) => job_id === id);
  await expect.poll(() => callbacks().map((callback) => callback.status)).toContain("completed");
  return callbacks().find((callback) => callback.status === "completed");
}

it.each([
  ["the model hangs in one token", () => undefined],
  ["the process of the model is stopped", () => process.kill(executorPid(), "SIGSTOP")],
])("image7b_fast_enhanced draws from the prompt as it is when %s, and the callback says why", async (_what, stop) => {
  await expectGoodAnswer();
  const pid = executorPid();
  stop();
  const callback = await drawn({ enhancement_timeout: 1 });
  expect(callback?.assets).toHaveLength(1);
  expect(callback?.metadata).toMatchObject({
    enhancement_type: "instruct_chat",
    enhancement_success: false,
    original_prompt: idea,
    fallback_reason: "enhance_instruct: the time for enhancing the prompt is over",
  });
  expect(callback).not.toHaveProperty("enhanced_prompt");
  await expectGoodAnswer();
  expect(executorPid()).not.toBe(pid);
});

it("takes a model that knows no instructions by way of examples, and says so", async () => {
  const reason = expect.stringMatching(/^enhance_instruct: The model has no chat template/);
  expect(await enhance({ model: "plain", temperature: 0 })).toMatchObject({
    success: true,
    enhancement_source: "base",
    fallback_reason: reason,
  });
  useForJobs("plain");
  expect(await drawn()).toMatchObject({
    enhanced_prompt: expect.stringMatching(/\S+ \S+/),
    metadata: { enhancement_type: "base", enhancement_success: true, fallback_reason: reason },
  });
});
