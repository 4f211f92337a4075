import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { badGateway, type Fault, type FaultRequest, faultOnce, tooManyRequests } from "#gateway/faults.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/* Conversations that are remembered in Redis: by two containers together, and while Redis is away. */

vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const root = join(import.meta.dirname, "..");
let models: string;
let gateway: TestGateway;
let containers: TestContainer[];
let fault: ((request: FaultRequest) => Fault | undefined) | undefined;

beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "ourvidz-session-models-"));
  symlinkSync(join(root, "pipelines/chat/fixtures/tiny-qwen2"), join(models, "chat"));
  gateway = await startTestGateway({ faults: (request) => fault?.(request) });
  const env = { HANDLERS_DIR: join(root, "handlers"), MODELS_DIR: models, WORKERS: "chat" };
  const redis = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
  containers = await Promise.all([1, 2].map(() => startContainer({ ...env, ...redis })));
  for (const container of containers) {
    const isReady = async () => expect((await container.call("GET", "/ready")).status).toBe(200);
    await vi.waitFor(isReady, { timeout: 60_000 });
  }
});

afterAll(async () => {
  await Promise.all(containers.map((container) => container.stop()));
  await gateway.close();
  rmSync(models, { recursive: true });
});

beforeEach(async () => {
  fault = undefined;
  await Promise.all(containers.map((container) => container.call("DELETE", "/chat/sessions")));
});

const of = (place: number): TestContainer => {
  const container = containers[place];
  if (container === undefined) throw new Error(`there is no container ${place}`);
  return container;
};
const ask = (place: number, prompt: string) =>
  of(place).call("POST", "/chat", { body: { prompt, max_tokens: 3, metadata: { session_id: "lakes" } } });
const turns = async (place: number) => {
  const { json } = await of(place).call("GET", "/chat/sessions/lakes");
  return Object(json).turns?.map(({ prompt }: { prompt: string }) => prompt) ?? [];
};

/** Of a script that touches the turns of a session: by how it is called, since scripts go by their hashes. */
const touchesTurns = ({ commands }: FaultRequest) =>
  commands.some((command) => command.some((word) => String(word).includes("chat-turns:")));
const appends = ({ commands }: FaultRequest) =>
  commands.some((command) => command.some((word) => String(word).includes("maxTurns")));

it("two containers of one queue have one memory", async () => {
  expect((await ask(0, "Draw a lake.")).json).toMatchObject({ session_turns: 0 });
  expect((await ask(1, "And a swan.")).json).toMatchObject({ session_turns: 1 });
  expect([await turns(0), await turns(1)]).toEqual([
    ["Draw a lake.", "And a swan."],
    ["Draw a lake.", "And a swan."],
  ]);
});

it("answers at once lose none of their turns", async () => {
  const prompts = ["a lake", "a swan", "a hill", "a boat"];
  const answers = await Promise.all(prompts.map((prompt, place) => ask(place % 2, prompt)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect((await turns(0)).toSorted()).toEqual(prompts.toSorted());
});

it("a turn whose answer was lost on the way is added once", async () => {
  fault = faultOnce({ kind: "drop", at: "after" }, appends);
  expect((await ask(0, "Draw a lake.")).status).toBe(200);
  expect(await turns(1)).toEqual(["Draw a lake."]);
});

it("without its memory nothing is answered, and it says when to try again", async () => {
  await ask(0, "Draw a lake.");
  fault = (request) => (touchesTurns(request) ? badGateway : undefined);
  for (const [method, path, body] of [
    ["POST", "/chat", { prompt: "And a swan.", metadata: { session_id: "lakes" } }],
    ["GET", "/chat/sessions/lakes"],
    ["DELETE", "/chat/sessions/lakes"],
    [
      "POST",
      "/v1/chat/completions",
      { messages: [{ role: "user", content: "Hi" }], metadata: { session_id: "lakes" } },
    ],
  ] as const) {
    const { status, headers, text } = await of(0).call(method, path, { body });
    expect([path, status, headers.get("retry-after")]).toEqual([path, 503, "10"]);
    expect(text).toContain("SESSIONS_UNREACHABLE");
  }
  const without = { prompt: "And a swan.", max_tokens: 2 };
  expect((await of(0).call("POST", "/chat", { body: without })).status).toBe(200);
  const enhancing = { prompt: "a swan", max_tokens: 6, enhance_type: "chat", metadata: { session_id: "lakes" } };
  const { json } = await of(0).call("POST", "/enhance", { body: enhancing });
  expect(json).toMatchObject({
    fallback_reason: expect.stringMatching(/enhance_instruct: The memory of conversations/),
  });
  expect(Object(json).enhancement_source).not.toBe("chat");
  fault = undefined;
  expect(await turns(1)).toEqual(["Draw a lake."]);
});

it("an answer that could not be remembered is an error", async () => {
  fault = (request) => (appends(request) ? tooManyRequests : undefined);
  expect(await ask(0, "Draw a lake.")).toMatchObject({ status: 503, json: { code: "SESSIONS_UNREACHABLE" } });
  fault = undefined;
  expect(await turns(1)).toEqual([]);
});

it("a job whose memory is away is tried again", async () => {
  let failures = 0;
  fault = (request) => {
    if (!touchesTurns(request) || failures >= 4) return undefined;
    failures += 1;
    return badGateway;
  };
  const { runtime } = of(0);
  const fields = { prompt: "Draw a lake.", metadata: { session_id: "lakes" } };
  const id = await runtime.submit("chat", { max_tokens: 3 }, fields);
  const firstError = async () => (await runtime.queue.get(id))?.attempts[0]?.error?.code;
  await expect.poll(firstError, { timeout: 30_000 }).toBe("SESSIONS_UNREACHABLE");
  expect((await runtime.queue.get(id))?.status).not.toBe("failed");
});
