import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { z } from "zod";
import { startContainer, type TestContainer } from "./testing/container.ts";

/* What the routes of the language model do not take, and models that cannot answer: a code and a sentence each. */

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const fixtures = fileURLToPath(new URL("../pipelines/chat/fixtures", import.meta.url));
const models = mkdtempSync(join(tmpdir(), "chat-bad-"));
let container: TestContainer;

function copyModel(fixture: string, name = fixture): string {
  cpSync(join(fixtures, fixture), join(models, name), { recursive: true });
  return join(models, name);
}

beforeAll(async () => {
  copyModel("tiny-qwen2", "chat");
  copyModel("tiny-gemma");
  rmSync(join(copyModel("tiny-qwen2", "no-tokenizer"), "tokenizer.json"));
  const loop = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}";
  writeFileSync(join(copyModel("tiny-qwen2", "loops"), "chat_template.jinja"), loop);
  const memory = "{% for a in range(100000000) %}{% endfor %}";
  writeFileSync(join(copyModel("tiny-qwen2", "greedy"), "chat_template.jinja"), memory);
  container = await startContainer({ HANDLERS_DIR: "handlers", MODELS_DIR: models, WORKERS: "chat" });
  const isReady = async () => expect((await container.call("GET", "/ready")).status).toBe(200);
  await vi.waitFor(isReady, { timeout: 30_000 });
});

afterAll(async () => {
  await container.stop();
  rmSync(models, { recursive: true });
});

const user = (content: string) => ({ role: "user", content });
const messages = [user("hello")];
const long = "a".repeat(100_000);

type Expected = readonly [status: number, code: string, sentence: string | RegExp];
type Case = readonly [what: string, body: unknown, expected: Expected];

const ownError = z.object({ success: z.literal(false), error: z.string(), code: z.string() });
const openAiError = z.object({ error: z.object({ message: z.string(), type: z.string(), code: z.string() }) });

async function expectRefusal(path: string, body: unknown, [status, code, sentence]: Expected, type?: string) {
  const headers: Record<string, string> = type === undefined ? {} : { "Content-Type": type };
  const answer = await container.call("POST", path, { body, headers });
  if (path === "/v1/chat/completions") {
    const { error } = openAiError.parse(answer.json);
    expect([answer.status, error.code, error.message]).toEqual([status, code, expect.stringMatching(sentence)]);
    expect(error.type).toBe(status < 500 ? "invalid_request_error" : "server_error");
  } else {
    const { error, code: own } = ownError.parse(answer.json);
    expect([answer.status, own, error]).toEqual([status, code, expect.stringMatching(sentence)]);
  }
  expect(answer.text.length).toBeLessThan(1500);
}

const invalid = (sentence: string | RegExp): Expected => [400, "INVALID_REQUEST", sentence];
const noTokens = invalid(/^The body is invalid: max_tokens is 0: must be a whole number from 1 to 2,048$/);
const tooWarm = invalid(/^The body is invalid: temperature is 3: must be a number from 0 to 2$/);
const noModel = (sentence: string): Expected => [503, "CALL_NOT_OFFERED", sentence];

const ofConversations: readonly Case[] = [
  ["no message", { messages: [] }, invalid(/^The body is invalid: messages is \[\]: must not be empty$/)],
  [
    "no question",
    { messages: [user(" \n ")] },
    invalid(/must contain a message of the user's that is not only white space$/),
  ],
  [
    "an order of roles that the template refuses",
    { messages: [user("one"), user("two")], model: "tiny-gemma" },
    [422, "INVALID_JOB", "The model's chat template does not take these messages: Conversation roles must alternate"],
  ],
  [
    "an unknown role",
    { messages: [{ role: "tool", content: "x" }] },
    invalid(/: messages\.0\.role is "tool": must be [^;]+$/),
  ],
  [
    "100,000 characters",
    { messages: [user(long)] },
    [422, "INVALID_JOB", /^The newest turn has \d+ tokens, and the model has room for 128: shorten them\.$/],
  ],
  [
    "more than that",
    { messages: [user(`${long}a`)] },
    invalid(/: messages\.0\.content is "a+… \(100,001 characters\)": must be at most 100,000 characters$/),
  ],
  ["no tokens", { messages, max_tokens: 0 }, noTokens],
  ["a temperature of 3", { messages, temperature: 3 }, tooWarm],
  ["a folder without a tokenizer", { messages, model: "no-tokenizer" }, noModel("tokenizer.json is missing")],
  [
    "a template with an endless loop",
    { messages, model: "loops" },
    noModel("the chat template (does not end within 5 s|takes more memory)"),
  ],
  [
    "a template that fills the memory",
    { messages, model: "greedy" },
    noModel("takes more memory than the 512 MB|does not end"),
  ],
];

const both = { prompt: "hello", messages };

const ofPrompts: readonly Case[] = [
  ["no prompt", {}, invalid("prompt is missing")],
  [
    "100,000 characters",
    { prompt: long },
    invalid(/: prompt is "a+… \(100,000 characters\)": must be 1 to 8,000 characters/),
  ],
  ["no tokens", { prompt: "a", max_tokens: 0 }, noTokens],
  ["a temperature of 3", { prompt: "a", temperature: 3 }, tooWarm],
  [
    "a model elsewhere",
    { prompt: "a", model: "../chat" },
    invalid(/: model is "\.\.\/chat": must be the name of a model folder$/),
  ],
  ["both prompt and messages", both, invalid(/^The body is invalid: messages is \[.*\]: must be left out/)],
];

const ofEnhancement: readonly Case[] = [
  [
    "an unknown preset",
    { prompt: "a", preset: "fog" },
    [422, "INVALID_JOB", /^config\.preset is "fog": must be one of "cinematic", .* for sdxl/],
  ],
  ["an unknown target", { prompt: "a", target_model: "clay" }, invalid(/: target_model is "clay": must be/)],
];

const all: readonly Case[] = [
  ["no JSON", '{"prompt": ', invalid(/^The body is not valid JSON: .+\.$/)],
  ["no object", [], invalid(/^The body is invalid: body is \[\]: must be an object$/)],
];

const openAiPath = "/v1/chat/completions";
const both400 = invalid(/^The body is invalid: prompt is "hello": must be left out: messages are answered$/);

it.each(
  [
    { path: "/chat", cases: [...ofConversations, ...ofPrompts, ...all] },
    { path: "/enhance", cases: [...ofPrompts, ...ofEnhancement, ...all] },
    { path: "/enhance/base", cases: [...ofPrompts, ...ofEnhancement, ...all] },
    { path: openAiPath, cases: [...ofConversations, ...all, ["both prompt and messages", both, both400] as const] },
  ].flatMap(({ path, cases }) => cases.map(([what, body, expected]) => ({ path, what, body, expected }))),
)("$path refuses $what", async ({ path, body, expected }) => {
  await expectRefusal(path, body, expected);
});

it.each(["/chat", "/enhance", "/enhance/instruct", "/enhance/base", openAiPath])(
  "%s takes JSON alone",
  async (path) => {
    const expected = [
      415,
      "UNSUPPORTED_MEDIA_TYPE",
      /^Content-Type is "text\/plain": send application\/json\.$/,
    ] as const;
    await expectRefusal(path, { prompt: "a" }, expected, "text/plain");
  },
);

it.each([
  [
    "a folder without a tokenizer",
    "no-tokenizer",
    /^enhance_instruct: This container cannot run .* is missing; enhance_base: [^;]+$/,
  ],
  [
    "a template with an endless loop",
    "loops",
    /^enhance_instruct: This container cannot run .*: the chat template [^;.]+; enhance_base: [^;]+$/,
  ],
])("/enhance gives the prompt back where there is %s, and says why", async (_what, model, reason) => {
  const { status, json } = await container.call("POST", "/enhance", { body: { prompt: "a fox", model } });
  expect([status, json]).toMatchObject([
    200,
    {
      success: false,
      enhanced_prompt: "a fox",
      enhancement_source: "original",
      fallback_reason: expect.stringMatching(reason),
    },
  ]);
});

it("has not lost its process by any of it", () => {
  expect(container.runtime.executors.get("chat")?.status).toMatchObject({ restarts: 0 });
});

it.each(["/chat", "/enhance/instruct", "/enhance/base"])(
  "%s names the models that can answer, and stays healthy",
  async (path) => {
    mkdirSync(join(models, "paints"), { recursive: true });
    const before = container.runtime.offers.conditions.length;
    for (const model of ["paints", "nowhere"]) {
      const { status, json } = await container.call("POST", path, { body: { prompt: "a fox", model } });
      expect([status, Object(json).code]).toEqual([422, "MODEL_NOT_FOUND"]);
      expect(Object(json).error).toMatch(
        new RegExp(`^The language model "${model}" is not here; there are: .*tiny-gemma`),
      );
    }
    expect(container.runtime.offers.conditions).toHaveLength(before);
  },
);
