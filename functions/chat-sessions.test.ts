import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { OurvidzClient } from "#client/client.ts";
import { makeEndless } from "#test/support/endless-model.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";
import { readEvents } from "./testing/events.ts";

/* Conversations that are remembered, from the routes to the model and the store, with a model of random weights. */

vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const keys = ["the-key-of-ann-12345678", "the-key-of-ben-12345678"];
const fixture = fileURLToPath(new URL("../pipelines/chat/fixtures/tiny-qwen2", import.meta.url));
const models = mkdtempSync(join(tmpdir(), "session-models-"));
let container: TestContainer;
let url: string;

beforeAll(async () => {
  cpSync(fixture, join(models, "tiny-qwen2"), { recursive: true });
  writeFileSync(join(models, "aliases.json"), JSON.stringify({ chat: "tiny-qwen2" }));
  makeEndless(join(models, "endless"));
  container = await startContainer({
    HANDLERS_DIR: "handlers",
    MODELS_DIR: models,
    WORKERS: "chat",
    WAN_WORKER_API_KEY: keys.join(","),
  });
  url = (await container.listen()).url;
  const isReady = async () => expect((await container.call("GET", "/ready")).status).toBe(200);
  await vi.waitFor(isReady, { timeout: 60_000 });
});

afterAll(async () => {
  await container.stop();
  rmSync(models, { recursive: true });
});

const call = (method: "GET" | "POST" | "DELETE", path: string, body?: unknown, key = keys[0]) =>
  container.call(method, path, { body, headers: { Authorization: `Bearer ${key}` } });
const metadata = { session_id: "lakes" };
const greedy = { max_tokens: 4, temperature: 0, metadata };

beforeEach(async () => {
  for (const user of ["anonymous", "ann", "ben"]) await container.runtime.sessions.forgetAll(user);
});

async function turnsOf(user: string): Promise<unknown> {
  const { status, json } = await call("GET", `/chat/sessions/lakes?user_id=${user}`);
  return status === 404 ? Object(json).code : Object(json).turns.map(({ prompt }: { prompt: string }) => prompt);
}

describe("POST /chat", () => {
  it("goes on with the conversation, and says how much of it the model has read", async () => {
    const first = await call("POST", "/chat", { prompt: "Draw a lake.", ...greedy });
    expect(first).toMatchObject({
      status: 200,
      json: { session_id: "lakes", session_turns: 0, session_turns_dropped: 0, session_turn_cut: false },
    });
    const second = await call("POST", "/chat", { prompt: "And a swan.", ...greedy });
    expect(second.json).toMatchObject({ session_turns: 1, session_turns_dropped: 0 });
    const messages = [
      { role: "user", content: "Draw a lake." },
      { role: "assistant", content: Object(first.json).response },
      { role: "user", content: "And a swan." },
    ];
    const whole = await call("POST", "/chat", { messages, max_tokens: 4, temperature: 0 });
    const { response, prompt_tokens } = Object(whole.json);
    expect(second.json).toMatchObject({ response, prompt_tokens });
    expect(whole.json).not.toHaveProperty("session_turns");
    const { status, json } = await call("GET", "/chat/sessions/lakes");
    expect([status, json]).toEqual([
      200,
      {
        session_id: "lakes",
        user_id: "anonymous",
        turns: [
          { prompt: "Draw a lake.", response: Object(first.json).response, created_at: expect.any(String) },
          { prompt: "And a swan.", response, created_at: expect.any(String) },
        ],
        expires_at: expect.any(String),
      },
    ]);
    const { turns, expires_at } = Object(json);
    expect(Date.parse(expires_at) - Date.parse(turns[1].created_at)).toBe(86_400_000);
  });

  it("remembers nothing for another user, whatever key asks", async () => {
    await call("POST", "/chat", { prompt: "Draw a lake.", user_id: "ann", ...greedy }, keys[0]);
    for (const [user, key] of [
      ["ben", keys[0]],
      ["ben", keys[1]],
      [undefined, keys[1]],
    ] as const) {
      const { json } = await call("POST", "/chat", { prompt: `by ${user}`, user_id: user, ...greedy }, key);
      expect(json).toMatchObject({ session_turns: user === "ben" && key === keys[1] ? 1 : 0 });
    }
    expect(await turnsOf("ann")).toEqual(["Draw a lake."]);
    expect(await turnsOf("ben")).toEqual(["by ben", "by ben"]);
    expect(await turnsOf("anonymous")).toEqual(["by undefined"]);
  });

  it("remembers what was streamed, when it came to its end", async () => {
    const request = (body: object, signal?: AbortSignal) =>
      fetch(`${url}/chat`, {
        method: "POST",
        headers: { Authorization: `Bearer ${keys[0]}`, "Content-Type": "application/json" },
        body: JSON.stringify({ stream: true, metadata, ...body }),
        ...(signal ? { signal } : {}),
      });
    const events = await Array.fromAsync(readEvents(await request({ prompt: "Draw a lake.", max_tokens: 4 })));
    expect(events.at(-1)).toMatchObject({ event: "done", data: { session_id: "lakes", session_turns: 0 } });
    expect(await turnsOf("anonymous")).toEqual(["Draw a lake."]);
    const left = new AbortController();
    const endless = await request({ prompt: "For ever.", model: "endless", max_tokens: 2000 }, left.signal);
    await readEvents(endless).next();
    left.abort();
    // The next answer comes when the one before has ended, which the session has nothing of.
    await call("POST", "/chat", { prompt: "And a swan.", ...greedy });
    expect(await turnsOf("anonymous")).toEqual(["Draw a lake.", "And a swan."]);
  });

  it("adds one turn for a request that is repeated with its key", async () => {
    const headers = { Authorization: `Bearer ${keys[0]}`, "Idempotency-Key": "lake-1" };
    const body = { prompt: "Draw a lake.", ...greedy };
    const answers = await Promise.all([1, 2].map(() => container.call("POST", "/chat", { body, headers })));
    expect(answers.map(({ json }) => Object(json).response)).toEqual(
      [1, 2].map(() => Object(answers[0]?.json).response),
    );
    expect(await turnsOf("anonymous")).toEqual(["Draw a lake."]);
  });

  it.each(["", "a b", "../etc", "x".repeat(129), 7])("refuses the session id %j", async (session_id) => {
    const { status, json } = await call("POST", "/chat", { prompt: "Draw a lake.", metadata: { session_id } });
    expect([status, Object(json).code]).toEqual([400, "INVALID_REQUEST"]);
    expect(Object(json).error).toContain("metadata.session_id");
  });
});

it("a job goes on with the conversation of its user, and adds to it", async () => {
  const { runtime } = container;
  await call("POST", "/chat", { prompt: "Draw a lake.", user_id: "ann", ...greedy });
  const config = { max_tokens: 4, temperature: 0 };
  const id = await runtime.submit("chat", config, { prompt: "And a swan.", user_id: "ann", metadata });
  const { result } = await runtime.ended(id);
  expect(result?.metadata).toMatchObject({ session_turns: 1, session_turns_dropped: 0, session_turn_cut: false });
  expect(await turnsOf("ann")).toEqual(["Draw a lake.", "And a swan."]);
});

it("a prompt is enhanced within its session as “chat”, and by examples without one", async () => {
  await call("POST", "/chat", { prompt: "Draw a lake.", ...greedy });
  const enhancing = { prompt: "a swan", preset: "nature", max_tokens: 6 };
  const { json } = await call("POST", "/enhance", { ...enhancing, enhance_type: "chat", metadata });
  expect(json).toMatchObject({ success: true, enhancement_source: "chat", session_turns: 1 });
  expect(await turnsOf("anonymous")).toEqual(["Draw a lake.", "a swan"]);
  const alone = await call("POST", "/enhance", { ...enhancing, metadata: { enhancement_type: "chat" } });
  expect(alone.json).toMatchObject({
    enhancement_source: "base",
    fallback_reason: "there is no metadata.session_id whose conversation could go on",
  });
  const other = await call("POST", "/enhance", { ...enhancing, metadata });
  expect(other.json).toMatchObject({ enhancement_source: "instruct" });
  expect(await turnsOf("anonymous")).toEqual(["Draw a lake.", "a swan"]);
});

it("OpenAI's client has a memory where it names a session, which is its user's", async () => {
  const openai = new OpenAI({ apiKey: keys[0], baseURL: `${url}/v1`, maxRetries: 0 });
  const ask = (content: string, more: object) =>
    openai.chat.completions.create({
      model: "chat",
      messages: [{ role: "user", content }],
      max_completion_tokens: 4,
      ...more,
    });
  const first = await ask("Draw a lake.", { metadata, user: "ann" });
  const second = await ask("Draw a lake.", { metadata, user: "ann" });
  expect(Number(second.usage?.prompt_tokens)).toBeGreaterThan(Number(first.usage?.prompt_tokens));
  expect((await ask("Draw a lake.", { user: "ann" })).usage?.prompt_tokens).toBe(first.usage?.prompt_tokens);
  expect(await turnsOf("ann")).toEqual(["Draw a lake.", "Draw a lake."]);
  const refused = ask("Draw a lake.", { metadata, user: "ann@example.com" });
  await expect(refused).rejects.toSatisfy((error) => error instanceof APIError && error.param === "user");
  expect(await turnsOf("anonymous")).toBe("NOT_FOUND");
});

it("forgets one session or all of a user's, and nobody else's", async () => {
  const client = new OurvidzClient({ url, key: keys[0] });
  for (const user_id of ["ann", "ben"])
    for (const session_id of ["lakes", "hills"])
      await client.chat({ prompt: "Draw a lake.", user_id, max_tokens: 2, metadata: { session_id } });
  expect((await client.readSession("lakes", { userId: "ann" })).turns).toHaveLength(1);
  expect(await client.forgetSession("lakes", { userId: "ann" })).toEqual({ deleted: 1 });
  expect(await client.forgetSession("lakes", { userId: "ann" })).toEqual({ deleted: 0 });
  await expect(client.readSession("lakes", { userId: "ann" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  expect(await client.forgetSessions()).toEqual({ deleted: 0 });
  expect(await client.forgetSessions({ userId: "ann" })).toEqual({ deleted: 1 });
  expect(await turnsOf("ben")).toEqual(["Draw a lake."]);
  expect(await client.forgetSessions({ userId: "ben" })).toEqual({ deleted: 2 });
});
