import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Calls, InteractiveCall } from "#runtime/calls/calls.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { EventStreams, type ServerEvents } from "../http/event-stream.ts";
import { streamCall, type TextStream } from "./model-call.ts";

const log = await createLogger({ level: "silent", format: "json" });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A call that waits for its turn until a test lets it write. */
function waitingCall() {
  const made: InteractiveCall[] = [];
  const callNow: Calls["callNow"] = (request) => {
    made.push(request);
    return new Promise((_resolve, reject) =>
      request.signal.addEventListener("abort", () => reject(request.signal.reason)),
    );
  };
  return { calls: { callNow }, made };
}

async function* texts({ text }: TextStream): AsyncGenerator<ServerEvents> {
  for await (const delta of text) yield [{ event: "text", data: { delta } }];
}

const caller = () => ({ headers: new Headers(), signal: new AbortController().signal });
const call = { type: "chat", job: { prompt: "hello" } };

it("keeps the connection of who waits for the model: the stream begins after 10 s, and has a comment every 15 s", async () => {
  const { calls, made } = waitingCall();
  const begun = streamCall(caller(), { calls }, call, texts);
  let isBegun = false;
  void begun.then(() => {
    isBegun = true;
  });
  await vi.advanceTimersByTimeAsync(9_999);
  expect(isBegun).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  const { body } = new EventStreams({ log }).respond((await begun).events);
  const reader = body?.getReader();
  const next = async () => new TextDecoder().decode((await reader?.read())?.value);
  expect(await next()).toBe("retry: 2000\n\n");
  for (const _beat of [1, 2, 3]) {
    const beat = next();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await beat).toBe(": heartbeat\n\n");
  }
  made[0]?.onText?.("Hello");
  expect(await next()).toBe('event: text\ndata: {"delta":"Hello"}\n\n');
  await reader?.cancel();
  expect(made[0]?.signal.aborted).toBe(true);
});

it("ends the call of a client that leaves before the stream has begun", async () => {
  const { calls, made } = waitingCall();
  const leave = new AbortController();
  const answer = streamCall({ ...caller(), signal: leave.signal }, { calls }, call, texts).catch(
    (error: unknown) => error,
  );
  leave.abort(new Error("gone"));
  expect(await answer).toMatchObject({ message: "gone" });
  expect(made[0]?.signal.aborted).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

it("ends the call when no stream can be opened for it", async () => {
  const { calls, made } = waitingCall();
  const begun = streamCall(caller(), { calls }, call, texts);
  await vi.advanceTimersByTimeAsync(10_000);
  const { refused } = await begun;
  expect(made[0]?.signal.aborted).toBe(false);
  refused?.();
  expect(made[0]?.signal.aborted).toBe(true);
});
