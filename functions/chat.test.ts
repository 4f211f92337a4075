import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { OurvidzClient } from "#client/client.ts";
import { makeEndless } from "#test/support/endless-model.ts";
import { startContainer, type TestContainer, testKey } from "./testing/container.ts";
import { readEvents } from "./testing/events.ts";

const fixtures = fileURLToPath(new URL("../pipelines/chat/fixtures", import.meta.url));
const models = mkdtempSync(join(tmpdir(), "chat-models-"));
let container: TestContainer;
let url: string;
let openai: OpenAI;

beforeAll(async () => {
  cpSync(join(fixtures, "tiny-qwen2"), join(models, "tiny-qwen2"), { recursive: true });
  cpSync(join(fixtures, "tiny-llama"), join(models, "tiny-llama"), { recursive: true });
  writeFileSync(join(models, "aliases.json"), JSON.stringify({ chat: "tiny-qwen2" }));
  makeEndless(join(models, "endless"));
  mkdirSync(join(models, "pictures"));
  mkdirSync(join(models, "presets"));
  const brief = { name: "brief", description: "Brief.", system_prompt: "Write a prompt.", targets: { sdxl: {} } };
  writeFileSync(join(models, "presets/brief.json"), JSON.stringify(brief));
  container = await startContainer({
    HANDLERS_DIR: "handlers",
    MODELS_DIR: models,
    PRESETS_DIR: join(models, "presets"),
    WORKERS: "chat",
    WAN_WORKER_API_KEY: testKey,
  });
  const server = await container.listen();
  url = server.url;
  openai = new OpenAI({ apiKey: testKey, baseURL: `${url}/v1`, maxRetries: 0 });
  const isReady = async () => expect((await container.call("GET", "/ready")).status).toBe(200);
  await vi.waitFor(isReady, { timeout: 20_000 });
});

afterAll(async () => {
  await container.stop();
  rmSync(models, { recursive: true });
});

const headers = { Authorization: `Bearer ${testKey}` };
const ask = (path: string, body: unknown, more: Record<string, string> = {}) =>
  container.call("POST", path, { body, headers: { ...headers, ...more } });
const greedy = { max_tokens: 8, temperature: 0 };

describe("POST /chat", () => {
  it("answers, and says how", async () => {
    const { status, json } = await ask("/chat", { prompt: "What can you draw?", ...greedy });
    expect([status, json]).toEqual([
      200,
      {
        success: true,
        response: expect.stringMatching(/./),
        model: "tiny-qwen2",
        processing_time: expect.any(Number),
        generation_time: expect.any(Number),
        prompt_tokens: expect.any(Number),
        tokens_generated: 8,
        finish_reason: "length",
        dropped_turns: 0,
      },
    ]);
    const messages = [{ role: "user", content: "What can you draw?" }];
    expect((await ask("/chat", { messages, ...greedy })).json).toMatchObject({ response: Object(json).response });
  });

  it("streams the same text", async () => {
    const whole = (await ask("/chat", { prompt: "A lighthouse", ...greedy })).json;
    const response = await fetch(`${url}/chat`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({ prompt: "A lighthouse", stream: true, ...greedy }),
    });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const events = await Array.fromAsync(readEvents(response));
    const text = events.flatMap(({ event, data }) => (event === "text" ? [Object(data).delta] : [])).join("");
    expect(text).toBe(Object(whole).response);
    expect(events.at(-1)).toMatchObject({
      event: "done",
      data: { success: true, response: text, tokens_generated: 8 },
    });
  });

  it("answers a repeated request with the same key once", async () => {
    const body = { prompt: "A lighthouse", max_tokens: 8, temperature: 1.5 };
    const key = { "Idempotency-Key": "lighthouse-1" };
    const first = await ask("/chat", body, key);
    expect((await ask("/chat", body, key)).json).toEqual(first.json);
    expect(await ask("/chat", { ...body, max_tokens: 7 }, key)).toMatchObject({
      status: 409,
      json: { code: "IDEMPOTENCY_CONFLICT" },
    });
  });

  it("frees the model when the reader of a stream leaves", async () => {
    const leave = new AbortController();
    const response = await fetch(`${url}/chat`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({
        prompt: "A lighthouse",
        stream: true,
        max_tokens: 2000,
        temperature: 1,
        model: "endless",
      }),
      signal: leave.signal,
    });
    await response.body?.getReader().read();
    expect(container.runtime.calls.active).toBe(1);
    leave.abort();
    await expect.poll(() => container.runtime.calls.active).toBe(0);
  });

  it.each([
    [
      "neither prompt nor messages",
      {},
      400,
      "INVALID_REQUEST",
      /prompt is missing: must be given, or else messages|prompt/,
    ],
    ["no message", { messages: [] }, 400, "INVALID_REQUEST", /messages is \[\]: must not be empty/],
    [
      "no tokens",
      { prompt: "a", max_tokens: 0 },
      400,
      "INVALID_REQUEST",
      /max_tokens is 0: must be a whole number from 1 to 2,048/,
    ],
    [
      "a temperature of 3",
      { prompt: "a", temperature: 3 },
      400,
      "INVALID_REQUEST",
      /temperature is 3: must be a number from 0 to 2/,
    ],
    ["100,001 characters", { prompt: "a".repeat(100_001) }, 400, "INVALID_REQUEST", /must be 1 to 8,000 characters/],
    ["an unknown model", { prompt: "a", model: "none" }, 422, "MODEL_NOT_FOUND", /none/],
    ["more than the context", { prompt: "lighthouse ".repeat(700) }, 422, "INVALID_JOB", /the model has room for 128/],
  ])("refuses %s", async (_what, body, status, code, message) => {
    const answer = await ask("/chat", body);
    expect([answer.status, Object(answer.json).code, Object(answer.json).error]).toEqual([
      status,
      code,
      expect.stringMatching(message),
    ]);
  });
});

describe("POST /enhance", () => {
  it.each([
    ["/enhance", "instruct"],
    ["/enhance/instruct", "instruct"],
    ["/enhance/base", "base"],
  ])("%s makes another prompt of it", async (path, source) => {
    const { status, json } = await ask(path, { prompt: "a fox", preset: "brief", ...greedy });
    expect([status, json]).toMatchObject([
      200,
      {
        success: true,
        enhanced_prompt: expect.stringMatching(/./),
        original_prompt: "a fox",
        enhancement_source: source,
        preset: "brief",
        target_model: "sdxl",
        model: "tiny-qwen2",
      },
    ]);
  });

  it("gives the prompt back when nothing comes of it, and says why", async () => {
    const { status, json } = await ask("/enhance", { prompt: "a fox", model: "none" });
    expect([status, json]).toMatchObject([
      200,
      {
        success: false,
        enhanced_prompt: "a fox",
        enhancement_source: "original",
        fallback_reason: expect.stringMatching(/^enhance_instruct: .*none.*; enhance_base: /),
      },
    ]);
  });

  it("refuses a preset that is not there", async () => {
    const { status, json } = await ask("/enhance", { prompt: "a fox", preset: "fog" });
    expect([status, Object(json).code]).toEqual([422, "INVALID_JOB"]);
    expect(Object(json).error).toContain('config.preset is "fog": must be one of "brief", "cinematic"');
  });
});

it("is asked by the client too", async () => {
  const client = new OurvidzClient({ url, key: testKey });
  expect(await client.chat({ prompt: "A lighthouse", ...greedy })).toMatchObject({
    success: true,
    tokens_generated: 8,
  });
  expect(await client.enhance({ prompt: "a fox", preset: "brief", ...greedy })).toMatchObject({ success: true });
});

describe("OpenAI's client", () => {
  it("lists the models", async () => {
    const { data } = await openai.models.list();
    expect(data.map(({ id }) => id)).toEqual(["tiny-qwen2", "endless", "tiny-llama"]);
  });

  it("gets one of them by its folder's name or another one, and is told of the others when there is none", async () => {
    const [first] = (await openai.models.list()).data;
    expect(await openai.models.retrieve("tiny-qwen2")).toEqual(first);
    expect(await openai.models.retrieve("chat")).toEqual({ ...first, id: "chat" });
    await expect(openai.models.retrieve("../chat")).rejects.toMatchObject({
      ...{ status: 404, code: "model_not_found", type: "not_found_error" },
      message: expect.stringContaining("there are: tiny-qwen2, endless, tiny-llama"),
    });
  });

  it("gets an answer of the model that it names", async () => {
    const messages = [
      { role: "developer" as const, content: "Be brief." },
      { role: "user" as const, content: [{ type: "text" as const, text: "What can you draw?" }] },
    ];
    const answer = await openai.chat.completions.create({ model: "chat", messages, temperature: 0, max_tokens: 6 });
    expect(answer).toMatchObject({
      object: "chat.completion",
      model: "tiny-qwen2",
      choices: [{ index: 0, message: { role: "assistant", content: expect.any(String) }, finish_reason: "length" }],
      usage: { completion_tokens: 6 },
    });
    const other = await openai.chat.completions.create({ model: "tiny-llama", messages, max_completion_tokens: 6 });
    expect(other.model).toBe("tiny-llama");
  });

  it("gets the same as a stream, with what was used", async () => {
    const question = { model: "chat", messages: [{ role: "user" as const, content: "A lighthouse" }], temperature: 0 };
    const whole = await openai.chat.completions.create({ ...question, max_tokens: 8 });
    const stream = await openai.chat.completions.create({
      ...question,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(
      whole.choices[0]?.message.content,
    );
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("length");
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
  });

  it("gets the same below an endpoint, as RunPod serves it", async () => {
    const below = new OpenAI({ apiKey: testKey, baseURL: `${url}/v2/lakes/openai/v1`, maxRetries: 0 });
    expect((await below.models.list()).data).toEqual((await openai.models.list()).data);
    const question = { model: "chat", messages: [{ role: "user" as const, content: "A lighthouse" }], temperature: 0 };
    const whole = await below.chat.completions.create({ ...question, max_tokens: 8 });
    const stream = await below.chat.completions.create({ ...question, max_tokens: 8, stream: true });
    const chunks = await Array.fromAsync(stream);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(
      whole.choices[0]?.message.content,
    );
    const keyless = new OpenAI({ apiKey: "wrong-key-for-tests", baseURL: below.baseURL, maxRetries: 0 });
    await expect(keyless.models.list()).rejects.toMatchObject({ status: 401 });
    // Neither another API of the container nor another name of an endpoint is reached by it.
    for (const path of ["/v2/lakes/openai/jobs", "/v2/la.kes/openai/v1/models", "/v2/lakes/openai/v1/../../jobs"]) {
      expect((await container.call("GET", path, { headers })).status, path).toBe(404);
    }
  });

  it.each([
    [{ model: "none" }, 404, "model_not_found", /"none" is not here; there are: tiny-qwen2, endless, tiny-llama/],
    [{ temperature: 3 }, 400, "INVALID_REQUEST", /temperature is 3/],
    [{ n: 2 }, 400, "INVALID_REQUEST", /n is 2: must be 1/],
    [{ tools: [{ type: "function" }] }, 400, "INVALID_REQUEST", /tools/],
    [{ messages: [] }, 400, "INVALID_REQUEST", /messages is \[\]: must not be empty/],
  ])("is told by name what cannot be done: %j", async (change, status, code, message) => {
    const body = { model: "chat", messages: [{ role: "user", content: "hello" }], ...change };
    const failure: unknown = await openai.post("/chat/completions", { body }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(APIError);
    expect(failure).toMatchObject({ status, code, error: { message: expect.stringMatching(message) } });
  });

  it("is told that its key is wrong", async () => {
    const stranger = new OpenAI({ apiKey: "wrong-key-for-tests", baseURL: `${url}/v1`, maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toMatchObject({ status: 401, code: "UNAUTHORIZED" });
  });
});
