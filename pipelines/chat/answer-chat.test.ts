import { describe, expect, it } from "vitest";
import { answerChat, type ChatHost, type ChatParameters, runText } from "./answer-chat.ts";
import type { SessionTurn } from "./session.ts";

const path = new URL("fixtures/tiny-qwen2", import.meta.url).pathname;

/** A host that keeps what it is given. */
function collectingHost(parameters: ChatParameters, signal = new AbortController().signal) {
  const lists = { steps: [] as string[], stages: [] as string[], warnings: [] as string[] };
  const seen = { text: "", ...lists, sessions: new Map<string, SessionTurn[]>() };
  const host: ChatHost = {
    signal,
    log: { info() {}, warn: (_fields, message) => void seen.warnings.push(message) },
    progress: (step, total) => void seen.steps.push(`${step}/${total}`),
    stage: ({ name }) => void seen.stages.push(name),
    parameters: async () => parameters,
    model: async () => ({ name: "tiny-qwen2", path, version: "1" }),
    asset: async () => undefined,
    session: async (id) => ({ turns: seen.sessions.get(id) ?? [] }),
    async remember(id, turn) {
      seen.sessions.set(id, [...(seen.sessions.get(id) ?? []), turn]);
      return { isCut: turn.prompt.length > 1000 };
    },
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

describe("a session", () => {
  const greedy = { max_tokens: 5, temperature: 0 };
  const metadata = { session_id: "lakes" };

  it("is read before the question, and has the turn afterwards", async () => {
    const { seen, host } = collectingHost(greedy);
    const first = await answerChat({ prompt: "Draw a lake.", metadata }, host);
    expect(first.metadata).toMatchObject({ session_turns: 0, session_turns_dropped: 0, session_turn_cut: false });
    expect(seen.sessions.get("lakes")).toEqual([{ prompt: "Draw a lake.", response: first.text }]);
    const second = await answerChat({ prompt: "And a swan.", metadata }, host);
    expect(second.metadata).toMatchObject({ session_turns: 1, session_turns_dropped: 0 });
    const whole = [
      { role: "user" as const, content: "Draw a lake." },
      { role: "assistant" as const, content: first.text },
      { role: "user" as const, content: "And a swan." },
    ];
    const same = await answerChat({ messages: whole }, collectingHost(greedy).host);
    expect([second.text, second.metadata.prompt_tokens]).toEqual([same.text, same.metadata.prompt_tokens]);
    expect(seen.sessions.get("lakes")?.[1]).toEqual({ prompt: "And a swan.", response: second.text });
  });

  it("is not added to messages that hold answers, and has their newest turn afterwards", async () => {
    const { seen, host } = collectingHost(greedy);
    seen.sessions.set("lakes", [{ prompt: "a hill", response: "green" }]);
    const messages = ["a lake", "blue", "a swan"].map((content, place) => ({
      role: place % 2 === 0 ? ("user" as const) : ("assistant" as const),
      content,
    }));
    const { text, metadata: report } = await answerChat({ messages, metadata }, host);
    const alone = await answerChat({ messages }, collectingHost(greedy).host);
    expect([text, report.session_turns]).toEqual([alone.text, 0]);
    expect(seen.sessions.get("lakes")).toEqual([
      { prompt: "a hill", response: "green" },
      { prompt: "a swan", response: text },
    ]);
  });

  it("reports the turns that had no room, and what was too long to be kept", async () => {
    const { seen, host } = collectingHost(greedy);
    const turn = { prompt: "a lighthouse on a cliff", response: "in the evening, with a beam of light" };
    seen.sessions.set(
      "lakes",
      Array.from({ length: 10 }, () => turn),
    );
    const { metadata: report } = await answerChat({ prompt: "a lake", metadata }, host);
    expect(Number(report.session_turns_dropped)).toBeGreaterThan(0);
    expect(Number(report.session_turns) + Number(report.session_turns_dropped)).toBe(10);
    expect(report.dropped_turns).toBe(Number(report.session_turns_dropped) * 2);
  });

  it("has nothing of an answer that was stopped, or that failed", async () => {
    const controller = new AbortController();
    const { seen, host } = collectingHost({ ...greedy, max_tokens: 50 }, controller.signal);
    const stopped = answerChat(
      { prompt: "a lake", metadata },
      { ...host, progress: (step) => step === 2 && controller.abort(new Error("the client has left")) },
    );
    await expect(stopped).rejects.toThrow("the client has left");
    const refused = collectingHost(greedy);
    const system = { role: "system" as const, content: "a lighthouse ".repeat(500) };
    const messages = [system, { role: "user" as const, content: "a lake" }];
    await expect(answerChat({ messages, metadata }, refused.host)).rejects.toThrow("shorten them");
    expect([seen.sessions.size, refused.seen.sessions.size]).toEqual([0, 0]);
  });
});
