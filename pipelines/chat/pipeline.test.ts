import { readFile } from "node:fs/promises";
import { afterAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { CachedDecoder } from "./cached-decoder.ts";
import { ChatPipeline, type ChatSettings } from "./pipeline.ts";
import type { ChatRequest } from "./request.ts";

/*
 * The models have random weights; what transformers answers with them is made by tools/reference/make_chat_fixtures.py.
 */
const names = ["tiny-qwen2", "tiny-llama", "tiny-gemma"] as const;
type Name = (typeof names)[number];

const turn = z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() });
const cases = z.array(
  z.object({
    name: z.string(),
    messages: z.array(turn).optional(),
    prompt: z.string().optional(),
    maxTokens: z.number(),
    repetitionPenalty: z.number(),
    stop: z.array(z.string()),
    promptIds: z.array(z.number()),
    tokens: z.array(z.number()),
    text: z.string(),
    dropped: z.number().default(0),
  }),
);
type Case = z.output<typeof cases>[number];

const folder = (name: Name) => new URL(`fixtures/${name}`, import.meta.url).pathname;
const casesOf = async (name: Name) =>
  cases.parse(JSON.parse(await readFile(new URL(`fixtures/${name}.json`, import.meta.url), "utf8")));

/** Small parts, so that every prompt is read in several. */
const settings: ChatSettings = { executionProvider: "cpu", intraOpThreads: 1, partTokens: 16 };
const loaded = new Map<Name, Promise<ChatPipeline>>();

function pipeline(name: Name): Promise<ChatPipeline> {
  const known = loaded.get(name) ?? ChatPipeline.load(folder(name), settings);
  loaded.set(name, known);
  return known;
}

afterAll(async () => {
  for (const one of loaded.values()) await (await one).dispose();
});

function requestOf({ messages, prompt = "", maxTokens, repetitionPenalty, stop }: Case): ChatRequest {
  const limits = { maxTokens, repetitionPenalty, stop, temperature: 0 };
  return messages === undefined ? { prompt, ...limits } : { messages, ...limits };
}

const question: ChatRequest = {
  messages: [{ role: "user", content: "Describe a mountain lake at sunrise." }],
  maxTokens: 40,
  temperature: 0.9,
  topP: 0.95,
  seed: 11,
};
const signal = new AbortController().signal;

describe.each(names)("%s", (name) => {
  it("answers greedily with the tokens of transformers", async () => {
    const model = await pipeline(name);
    for (const one of await casesOf(name)) {
      let streamed = "";
      const result = await model.generate(requestOf(one), {
        signal,
        onText: (delta) => {
          streamed += delta;
        },
      });
      expect({ name: one.name, ...result }).toMatchObject({
        name: one.name,
        text: one.text,
        promptTokens: one.promptIds.length,
        tokensGenerated: one.tokens.length,
        droppedTurns: one.dropped,
        finishReason: one.tokens.length === one.maxTokens && one.stop.length === 0 ? "length" : "stop",
      });
      expect(streamed).toBe(one.text);
    }
  });
});

it("gives the same text for the same seed, and another for another", async () => {
  const model = await pipeline("tiny-qwen2");
  const first = await model.generate(question, { signal });
  expect((await model.generate(question, { signal })).text).toBe(first.text);
  expect((await model.generate({ ...question, seed: 12 }, { signal })).text).not.toBe(first.text);
  expect(first.seed).toBe(11);
});

it("draws a seed that gives the text again", async () => {
  const model = await pipeline("tiny-qwen2");
  const drawn = await model.generate({ ...question, seed: undefined }, { signal });
  expect((await model.generate({ ...question, seed: drawn.seed }, { signal })).text).toBe(drawn.text);
});

it("reads a prompt in parts of any size alike", async () => {
  const other = await ChatPipeline.load(folder("tiny-llama"), { ...settings, partTokens: 3 });
  const greedy = { ...question, temperature: 0 };
  const text = async (model: ChatPipeline) => (await model.generate(greedy, { signal })).text;
  expect(await text(other)).toBe(await text(await pipeline("tiny-llama")));
  await other.dispose();
});

it("keeps its cache in float16, and reads weights beside the graph", async () => {
  const half = new URL("fixtures/tiny-llama-half", import.meta.url).pathname;
  const models = [
    await ChatPipeline.load(half, settings),
    await ChatPipeline.load(half, { ...settings, partTokens: 500 }),
  ];
  for (const one of (await casesOf("tiny-llama")).filter(({ name }) => /^question-[0-3]$/.test(name))) {
    const request = { ...requestOf(one), maxTokens: 12 };
    for (const model of models) {
      const { text } = await model.generate(request, { signal });
      expect(text.length).toBeGreaterThan(12);
      expect(one.text.startsWith(text)).toBe(true);
    }
  }
  for (const model of models) await model.dispose();
});

it("ends at the token at which it is aborted", async () => {
  const abort = new AbortController();
  let tokens = 0;
  const generation = (await pipeline("tiny-qwen2")).generate(question, {
    signal: abort.signal,
    onToken(count) {
      tokens = count;
      if (count === 5) abort.abort(new Error("stopped by the user"));
    },
  });
  await expect(generation).rejects.toThrow("stopped by the user");
  expect(tokens).toBe(5);
});

it("ends between two parts of a prompt", async () => {
  const abort = new AbortController();
  const read = vi.spyOn(CachedDecoder.prototype, "read");
  const watch = () => (read.mock.settledResults[0]?.type === "fulfilled" ? abort.abort(new Error("stopped")) : next());
  const next = () => setImmediate(watch);
  next();
  const request = { ...question, messages: undefined, prompt: "apple ".repeat(30) };
  await expect((await pipeline("tiny-llama")).generate(request, { signal: abort.signal })).rejects.toThrow("stopped");
  // Of more than ten.
  expect(read.mock.calls.length).toBeLessThan(4);
  read.mockRestore();
});

it("ends an answer where the context ends", async () => {
  const model = await pipeline("tiny-qwen2");
  const result = await model.generate({ prompt: "The lighthouse", maxTokens: 2000, temperature: 0 }, { signal });
  expect(result).toMatchObject({ finishReason: "length", tokensGenerated: 256 - result.promptTokens });
});

it.each([
  [{ messages: [] }, "INVALID_JOB", "There are no messages"],
  [{ prompt: "" }, "INVALID_JOB", "The prompt is empty"],
  [{ prompt: "apple ".repeat(20_000) }, "INVALID_JOB", "tokens, and the model has room for 216: shorten it"],
  [
    { messages: [{ role: "user" as const, content: "x".repeat(100_000) }] },
    "INVALID_JOB",
    "The newest turn has 100022 tokens, and the model has room for 216: shorten them.",
  ],
])("refuses what it cannot read", async (input, code, message) => {
  const request = { maxTokens: 40, temperature: 0, ...input };
  const generation = (await pipeline("tiny-qwen2")).generate(request, { signal });
  await expect(generation).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});

it("says what the model's template refuses", async () => {
  const messages = ["a", "b"].map((content) => ({ role: "user" as const, content }));
  const generation = (await pipeline("tiny-gemma")).generate({ messages, maxTokens: 4, temperature: 0 }, { signal });
  await expect(generation).rejects.toMatchObject({
    code: "INVALID_JOB",
    message: expect.stringContaining("roles must alternate user/assistant"),
  });
});

it("puts a system message before the user's where the template has no place for one", async () => {
  const model = await pipeline("tiny-gemma");
  const limits = { maxTokens: 12, temperature: 0 };
  const [system, user] = ["Answer in one word.", "What is blue?"];
  const apart = await model.generate(
    {
      messages: [
        { role: "system", content: system },
        { role: "user", content: user },
      ],
      ...limits,
    },
    { signal },
  );
  const joined = { messages: [{ role: "user" as const, content: `${system}\n\n${user}` }], ...limits };
  expect(await model.generate(joined, { signal })).toMatchObject({
    text: apart.text,
    promptTokens: apart.promptTokens,
  });
});
