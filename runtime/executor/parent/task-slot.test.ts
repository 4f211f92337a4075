import { pino } from "pino";
import { expect, it, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import type { AttemptKey, FromAttempt } from "../protocol.ts";
import { type TaskHooks, type TaskRequest, TaskSlot } from "./task-slot.ts";

function request(jobId: string, attempt = 1): TaskRequest {
  return { jobId, attempt, job: jobEnvelope.parse({ id: jobId, type: "noop" }), workFolder: "/nowhere" };
}

function setUp() {
  const lines: unknown[] = [];
  const log = pino({ level: "warn" }, { write: (line) => lines.push(JSON.parse(line)) });
  const send = vi.fn();
  const hooks = {
    onProgress: vi.fn(),
    onStage: vi.fn(),
    onText: vi.fn(),
    call: vi.fn(),
    query: vi.fn(),
    enqueue: vi.fn(),
    input: vi.fn(),
  } satisfies TaskHooks;
  return { slot: new TaskSlot(log, send), hooks, send, lines };
}

const enqueue: FromAttempt["message"] = { kind: "enqueue", requestId: 3, child: { id: "child", type: "noop" } };

it.each<[string, AttemptKey]>([
  ["another job", { jobId: "before", attempt: 2, serial: 2 }],
  ["another attempt of the same job", { jobId: "now", attempt: 1, serial: 2 }],
  ["the same attempt before it was given back", { jobId: "now", attempt: 2, serial: 1 }],
])("drops a message of %s, and logs whose it was", async (_, key) => {
  const { slot, hooks, send, lines } = setUp();
  slot.take(request("now", 2), hooks);
  slot.end({ kind: "aborted", reason: "shutdown" });
  slot.take(request("now", 2), hooks);
  const messages: FromAttempt["message"][] = [
    enqueue,
    { kind: "progress", step: 1, total: 2 },
    { kind: "stage", name: "load", startedAtMs: 0, seconds: 1 },
    { kind: "input", requestId: 4, url: "https://app.example/lake.png", content: "media" },
    { kind: "ended", outcome: { kind: "aborted", reason: "cancelled" }, heldModels: [], memoryBytes: 1 },
  ];
  for (const message of messages) expect(slot.receive({ kind: "attempt", key, message })).toBe(false);
  for (const hook of Object.values(hooks)) expect(hook).not.toHaveBeenCalled();
  expect(send).not.toHaveBeenCalled();
  expect(lines).toHaveLength(messages.length);
  expect(lines[0]).toMatchObject({ level: 40, job_id: key.jobId, attempt: key.attempt, kind: "enqueue" });
});

it("answers the requests of its attempt, with its key", async () => {
  const { slot, hooks, send } = setUp();
  hooks.enqueue.mockResolvedValueOnce("child").mockRejectedValueOnce(new Error("the queue is away"));
  const { key } = slot.take(request("now"), hooks).task;
  expect(slot.receive({ kind: "attempt", key, message: enqueue })).toBe(true);
  slot.receive({ kind: "attempt", key, message: { ...enqueue, requestId: 4 } });
  await expect.poll(() => send.mock.calls.length).toBe(2);
  expect(send).toHaveBeenCalledWith({
    kind: "attempt",
    key,
    message: { kind: "enqueued", requestId: 3, childId: "child" },
  });
  expect(send).toHaveBeenCalledWith({
    kind: "attempt",
    key,
    message: { kind: "enqueue_failed", requestId: 4, error: { code: "INTERNAL", message: "the queue is away" } },
  });
});

it("sends the next attempt no answer to a request of the one before", async () => {
  const { slot, hooks, send } = setUp();
  const enqueued = Promise.withResolvers<string>();
  hooks.enqueue.mockReturnValueOnce(enqueued.promise);
  const { task, ended } = slot.take(request("before"), hooks);
  slot.receive({ kind: "attempt", key: task.key, message: enqueue });
  slot.end({ kind: "not_started" });
  expect(await ended).toEqual({ kind: "not_started" });
  slot.take(request("now"), hooks);
  enqueued.resolve("child");
  await new Promise((resolve) => setImmediate(resolve));
  expect(send).not.toHaveBeenCalled();
});

it("stops what is done for an attempt when it is aborted, and when it has ended", async () => {
  const { slot, hooks, send } = setUp();
  hooks.input.mockReturnValue(new Promise(() => undefined));
  const { key } = slot.take(request("now"), hooks).task;
  const message = { kind: "input", requestId: 1, url: "https://app.example/lake.png", content: "media" } as const;
  slot.receive({ kind: "attempt", key, message });
  const signal: AbortSignal = hooks.input.mock.calls[0]?.[2];
  expect(signal.aborted).toBe(false);
  slot.abort("timed_out");
  expect(signal.reason).toMatchObject({ code: "CANCELLED", message: expect.stringContaining("timed_out") });
  expect(send).toHaveBeenCalledWith({ kind: "attempt", key, message: { kind: "abort", reason: "timed_out" } });
  slot.end({ kind: "not_started" });
  const next = slot.take(request("now", 2), hooks).task;
  slot.receive({ kind: "attempt", key: next.key, message });
  const second: AbortSignal = hooks.input.mock.calls[1]?.[2];
  slot.end({ kind: "not_started" });
  expect(second.aborted).toBe(true);
});

it("holds one task at a time", async () => {
  const { slot, hooks } = setUp();
  slot.take(request("now"), hooks);
  expect(() => slot.take(request("next"), hooks)).toThrow(/one task at a time/);
  expect(slot).toMatchObject({ isFree: false, task: { key: { jobId: "now" } } });
  const free = slot.free();
  slot.end({ kind: "not_started" });
  await free;
  expect(slot.isFree).toBe(true);
});
