import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { ChatPipeline } from "./pipeline.ts";

/*
 * The language model that ships. Expected answers are those of transformers with the same weights, made by
 * tools/reference/make_qwen_answers.py.
 */
const turn = z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() });
const answers = z.array(
  z.object({
    /** What a user typed: every word of it has to be in the answer. */
    idea: z.string().optional(),
    messages: z.array(turn).optional(),
    prompt: z.string().optional(),
    tokens: z.int(),
    text: z.string(),
  }),
);

const wordsOf = (text: string) => text.toLowerCase().match(/\p{L}+/gu) ?? [];

let model: ChatPipeline;

beforeAll(async () => {
  const folder = new URL("../../models/tiny-qwen", import.meta.url).pathname;
  model = await ChatPipeline.load(folder, { executionProvider: "cpu", intraOpThreads: 1 });
});

afterAll(async () => {
  await model.dispose();
});

describe("tiny-qwen", async () => {
  const path = new URL("fixtures/tiny-qwen.json", import.meta.url);
  const cases = answers.parse(JSON.parse(await readFile(path, "utf8")));

  it.each(cases)("answers as with transformers: $text", async ({ idea, messages, prompt = "", tokens, text }) => {
    const request = { maxTokens: 64, temperature: 0, stop: [] };
    const result = await model.generate(messages === undefined ? { ...request, prompt } : { ...request, messages }, {
      signal: new AbortController().signal,
    });
    expect({ text: result.text, tokens: result.tokensGenerated, end: result.finishReason }).toEqual({
      text,
      tokens,
      end: "stop",
    });
    if (idea === undefined) return;
    const [typed, written] = [wordsOf(idea), wordsOf(result.text)];
    expect(written).toEqual(expect.arrayContaining(typed));
    // Without a preset an idea that names all may stay as it is.
    if (messages?.length !== 1) expect(written.length).toBeGreaterThan(typed.length + 1);
  });
});
