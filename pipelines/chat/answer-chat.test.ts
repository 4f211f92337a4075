import { expect, it } from "vitest";
import { answerChat, type ChatHost, type ChatParameters, runText } from "./answer-chat.ts";

const path = new URL("fixtures/tiny-qwen2", import.meta.url).pathname;

/** A host that keeps what it is given. */
function collectingHost(parameters: ChatParameters, signal = new AbortController().signal) {
  const seen = { text: "", steps: [] as string[], stages: [] as string[], warnings: [] as string[] };
  const host: ChatHost = {
    signal,
    log: { info() {}, warn: (_fields, message) => void seen.warnings.push(message) },
    progress: (step, total) => void seen.steps.push(`${step}/${total}`),
    stage: ({ name }) => void seen.stages.push(name),
    parameters: async () => parameters,
    model: async () => ({ name: "tiny-qwen2", path, version: "1" }),
    asset: async () => undefined,
    text: (delta) => {
      seen.text += delta;
    },
  };
  return { seen, host };
}

it("answers a prompt, streams the text, and reports the numbers", async () => {
  const { seen, host } = collectingHost({ max_tokens: 6, temperature: 0.5, seed: 3 });
  const { text, metadata } = await answerChat({ prompt: "What can you draw?" }, host);
  expect(text).toBe(seen.text);
  expect(text.length).toBeGreaterThan(5);
  expect(metadata).toMatchObject({
    model: "tiny-qwen2",
    max_tokens: 6,
    tokens_generated: 6,
    prompt_tokens: 27,
    finish_reason: "length",
    dropped_turns: 0,
    seed: 3,
    execution_provider: "cpu",
  });
  expect(seen.steps).toEqual(["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]);
  expect(seen.stages).toEqual(["load", "prefill", "generate"]);
});

it("is the same for a prompt and for the user's only message", async () => {
  const answer = (job: Parameters<typeof answerChat>[0]) =>
    answerChat(job, collectingHost({ max_tokens: 5, temperature: 0 }).host);
  const messages = [{ role: "user" as const, content: "hello" }];
  expect((await answer({ messages })).text).toBe((await answer({ prompt: "hello" })).text);
});

it("warns of turns that had no room", async () => {
  const { seen, host } = collectingHost({ max_tokens: 2, temperature: 0 });
  const long = Array.from({ length: 21 }, (_, index) => ({
    role: index % 2 === 0 ? ("user" as const) : ("assistant" as const),
    content: "a lighthouse on a cliff",
  }));
  const { metadata } = await answerChat({ messages: long }, host);
  expect(metadata.dropped_turns).toBeGreaterThan(0);
  expect(seen.warnings).toEqual(["the oldest turns or examples have no room"]);
});

it("continues a text as it stands", async () => {
  const { host } = collectingHost({ max_tokens: 4, temperature: 0 });
  expect((await runText({ prompt: "The lighthouse" }, await host.parameters(), host)).metadata).toMatchObject({
    prompt_tokens: 2,
  });
});

it("ends when the job is aborted", async () => {
  const abort = new AbortController();
  const { host } = collectingHost({ max_tokens: 200, temperature: 0 }, abort.signal);
  const stopping = { ...host, text: () => abort.abort(new Error("cancelled")) };
  await expect(answerChat({ prompt: "hello" }, stopping)).rejects.toThrow("cancelled");
});
