import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { startTestRuntime, type TestRuntime } from "#test/support/runtime.ts";
import type { InteractiveCall } from "./calls.ts";
import { callHandlers } from "./testing/handlers.ts";

let runtime: TestRuntime;
beforeAll(async () => {
  const limits = { CALL_TIMEOUT_SECONDS: "20", CALLS_WAITING_MAX: "60", ABORT_GRACE_SECONDS: "0.5" };
  runtime = await startTestRuntime({ HANDLERS_DIR: callHandlers, ...limits });
}, 30_000);
afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
});

const never = new AbortController().signal;

function call(config: Record<string, unknown> = {}, fields: Partial<InteractiveCall> & { prompt?: string } = {}) {
  const { prompt = "a quiet lake", ...rest } = fields;
  return runtime.calls.callNow({ type: "reply", job: { prompt, config }, signal: never, ...rest });
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => (error instanceof CodedError ? error : null),
  );

async function ask(config: Record<string, unknown>, fields: Record<string, unknown> = {}) {
  return await runtime.ended(await runtime.submit("ask", config, fields));
}

/** A file that handlers write into, and its lines. */
function newTrace() {
  const trace = join(runtime.folder, randomUUID());
  const lines = async () => (await readFile(trace, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  return { trace, lines };
}

describe("a call by a job", () => {
  it("is answered with what the other worker's handler returned, its text on the way", async () => {
    const record = await ask({ config: { pieces: 3 } }, { user_id: "ada" });
    expect(record).toMatchObject({
      status: "completed",
      result: {
        metadata: {
          answer: { text: "...0...1...2", metadata: { prompt: "a quiet lake", user: "ada", job_id: record.job.id } },
          heard: "...0...1...2",
        },
      },
    });
  });

  it("may be made by a handler that was called", async () => {
    const { result } = await ask({ type: "relay", config: { config: { pieces: 2 } } });
    expect(result?.metadata).toMatchObject({ answer: { text: "relayed ...0...1" }, heard: "<...0><...1>" });
  });

  it.each([
    ["permanent", "POLICY_REFUSED"],
    ["retryable", "HANDLER_FAILED"],
    ["enqueue", "UNSUPPORTED_OPTION"],
    ["kill", "EXECUTOR_CRASHED"],
  ])(
    "that fails (%s) is an error with the code of the called one, which the caller may catch",
    async (failure, code) => {
      const record = await ask({ config: { failure }, falls_back: true });
      expect(record).toMatchObject({ status: "completed", attempts: [{ outcome: "completed" }] });
      expect(record.result?.metadata).toMatchObject({ code, details: { call: "reply" } });
    },
  );

  it("that would fail again fails its job at once", async () => {
    const record = await ask({ config: { failure: "permanent" } });
    expect(record).toMatchObject({ status: "failed", error: { code: "POLICY_REFUSED" }, attempts: [{ attempt: 1 }] });
  });

  it("with a job that the called handler refuses names each bad field", async () => {
    const { result } = await ask({ config: { pieces: -1, size: 0 }, falls_back: true });
    expect(result?.metadata).toMatchObject({
      code: "INVALID_JOB",
      details: [{ field: "config.pieces" }, { field: "config.size" }],
    });
  });

  it("keeps no files of the called handler", async () => {
    const record = await ask({ config: { failure: "asset" } });
    expect(record).toMatchObject({ status: "completed", result: { assets: [] } });
    await expect.poll(() => readdir(join(runtime.folder, "work"))).toEqual([]);
  });

  it("that its handler does not declare is refused for good", async () => {
    const record = await runtime.ended(await runtime.submit("undeclared"));
    expect(record).toMatchObject({ status: "failed", error: { code: "HANDLER_FAILED" }, attempts: [{ attempt: 1 }] });
    expect(record.error?.message).toContain('undeclared calls "reply" without saying so');
  });

  it("cannot be more than eight at a time", async () => {
    const { result } = await ask({ times: 9, config: { pieces: 1 }, falls_back: true });
    expect(result?.metadata).toMatchObject({ code: "OVERLOADED" });
  });

  it("ends when the caller does not want it any more", async () => {
    const { trace, lines } = newTrace();
    await ask({ within_ms: 300, falls_back: true, config: { pieces: 200, piece_ms: 50, trace } });
    await expect.poll(lines).toEqual(["anonymous a quiet lake", "stopped a quiet lake"]);
  });

  it("dies with a job that is cancelled", async () => {
    const { trace, lines } = newTrace();
    const id = await runtime.submit("ask", { config: { pieces: 200, piece_ms: 50, trace } });
    await expect.poll(lines).toHaveLength(1);
    await runtime.queue.cancel(id);
    expect(await runtime.ended(id)).toMatchObject({ status: "cancelled" });
    await expect.poll(lines).toContain("stopped a quiet lake");
  });

  it("dies with the process of its caller, and is made anew by the next attempt", async () => {
    const { trace, lines } = newTrace();
    const record = await ask({ dies: true, config: { pieces: 10, piece_ms: 50, trace } });
    expect(record).toMatchObject({ status: "completed", attempts: [{ outcome: "retried" }, { outcome: "completed" }] });
    expect(await lines()).toEqual(["anonymous a quiet lake", "stopped a quiet lake", "anonymous a quiet lake"]);
  });
});

describe("a call over HTTP", () => {
  it("is answered with the whole output, after its text", async () => {
    const pieces: string[] = [];
    const answer = await call({ pieces: 3 }, { userId: "ada", onText: (delta) => pieces.push(delta) });
    expect(answer).toMatchObject({
      output: { text: "...0...1...2", metadata: { user: "ada", job_id: answer.callId } },
      callId: expect.stringMatching(/^call-/),
    });
    expect(pieces).toEqual(["...0", "...1", "...2"]);
  });

  it.each<[string, Partial<InteractiveCall>, string]>([
    ["of no known type", { type: "answer" }, "UNKNOWN_JOB_TYPE"],
    ["of what makes pictures", { type: "picture" }, "UNSUPPORTED_OPTION"],
    ["with a bad field", { job: { config: { pieces: "many" } } }, "INVALID_JOB"],
    ["of a client that has left", { signal: AbortSignal.abort() }, "CANCELLED"],
  ])("%s is refused", async (_what, fields, code) => {
    expect(await refusal(call({}, fields))).toMatchObject({ code });
  });

  it("goes before the jobs on the queue, and kills none that runs", async () => {
    const { trace, lines } = newTrace();
    const job = (prompt: string) => runtime.submit("reply", { trace, pieces: 4, piece_ms: 50 }, { prompt });
    const first = await runtime.submit("reply", { trace, pieces: 40, piece_ms: 50 }, { prompt: "job 1" });
    await expect.poll(lines).toEqual(["anonymous job 1"]);
    const others = [await job("job 2"), await job("job 3")];
    await call({ trace }, { prompt: "call 1" });
    for (const id of [first, ...others]) expect(await runtime.ended(id)).toMatchObject({ status: "completed" });
    expect(await lines()).toEqual(["job 1", "call 1", "job 2", "job 3"].map((prompt) => `anonymous ${prompt}`));
  });

  it("by many clients: users take turns, and all are answered", async () => {
    const { trace, lines } = newTrace();
    const holder = call({ trace, pieces: 4, piece_ms: 50 }, { userId: "zoe", prompt: "first" });
    const users = [...Array(30).fill("ada"), ...Array(10).fill("ben"), ...Array(10).fill("eve")];
    const clients = users.map((userId, index) => call({ trace, pieces: 1 }, { userId, prompt: `${index}` }));
    expect(runtime.calls.waiting("chat")).toBe(50);
    for (const { output } of await Promise.all([holder, ...clients])) expect(output.text).toMatch(/0/);
    const served = (await lines()).slice(1).map((line) => line.split(" ")[0]);
    const turns = Array.from({ length: 10 }, (_, turn) => served.slice(turn * 3, turn * 3 + 3));
    expect(turns).toEqual(Array(10).fill(["ada", "ben", "eve"]));
    expect(served.slice(30)).toEqual(Array(20).fill("ada"));
    expect(runtime.calls.waiting("chat")).toBe(0);
  });

  it("for which there is no place is refused with when to come back", async () => {
    const clients = Array.from({ length: 61 }, (_, index) => refusal(call({}, { userId: "ada", prompt: `${index}` })));
    const surplus = refusal(call({}, { userId: "ada" }));
    const other = call({}, { userId: "ben" });
    expect(await surplus).toMatchObject({ code: "OVERLOADED", delaySeconds: expect.any(Number), status: 503 });
    expect(await other).toMatchObject({ output: { metadata: { user: "ben" } } });
    const refused = (await Promise.all(clients)).map((error) => error?.code ?? null);
    // The newest had to go for the other user.
    expect(refused).toEqual([...Array(60).fill(null), "OVERLOADED"]);
  });

  it("is refused when too much waits already, however few calls that is", async () => {
    const over = new AbortController();
    const { signal } = over;
    const runs = Promise.withResolvers<void>();
    const holder = refusal(call({ pieces: 1000, piece_ms: 20 }, { signal, onText: () => runs.resolve() }));
    await runs.promise;
    const large = () => refusal(call({}, { signal, prompt: "lake ".repeat(400_000) }));
    const waiting = Array.from({ length: 7 }, large);
    expect(await large()).toMatchObject({ code: "OVERLOADED", message: expect.stringContaining("Too much waits") });
    expect(runtime.calls.waiting("chat")).toBe(7);
    over.abort();
    for (const one of [holder, ...waiting]) expect(await one).toMatchObject({ code: "CANCELLED" });
    expect(await call()).toMatchObject({ output: {} });
  });

  it("of a client that leaves ends within a piece, and the next one runs", async () => {
    const { trace, lines } = newTrace();
    const leaving = new AbortController();
    const left = call({ trace, pieces: 1000, piece_ms: 20 }, { signal: leaving.signal, prompt: "long" });
    const next = call({ trace, pieces: 1 }, { prompt: "next" });
    await expect.poll(lines).toHaveLength(1);
    const waiting = new AbortController();
    const leftLine = call({ trace }, { signal: waiting.signal, prompt: "never run" });
    waiting.abort();
    expect(await refusal(leftLine)).toMatchObject({ code: "CANCELLED" });
    leaving.abort();
    expect(await refusal(left)).toMatchObject({ code: "CANCELLED", status: 499 });
    await next;
    expect(await lines()).toEqual(["anonymous long", "stopped long", "anonymous next"]);
  });
});

describe("a call with an idempotency key", () => {
  it("is made once for the same body, while it runs and after", async () => {
    const { trace, lines } = newTrace();
    const heard = ["", ""];
    const one = (index: number) => {
      const onText = (delta: string) => {
        heard[index] += delta;
      };
      return call({ trace, pieces: 4, piece_ms: 30 }, { idempotencyKey: "a", onText });
    };
    const first = one(0);
    await expect.poll(() => heard[0]).not.toBe("");
    const answers = await Promise.all([first, one(1)]);
    expect(answers[1]).toEqual(answers[0]);
    expect(heard).toEqual(["...0...1...2...3", "...0...1...2...3"]);
    expect(await call({ trace, pieces: 4, piece_ms: 30 }, { idempotencyKey: "a" })).toEqual(answers[0]);
    expect(await lines()).toHaveLength(1);
    const other = refusal(call({ trace, pieces: 5 }, { idempotencyKey: "a" }));
    expect(await other).toMatchObject({ code: "IDEMPOTENCY_CONFLICT", status: 409 });
    expect(await call({ pieces: 5 }, { idempotencyKey: "a", userId: "ben" })).toMatchObject({ output: {} });
  });

  it("goes on while anybody waits for it", async () => {
    const leaving = new AbortController();
    const first = call({ pieces: 10, piece_ms: 30 }, { idempotencyKey: "b", signal: leaving.signal });
    const second = call({ pieces: 10, piece_ms: 30 }, { idempotencyKey: "b" });
    leaving.abort();
    expect(await refusal(first)).toMatchObject({ code: "CANCELLED" });
    expect(await second).toMatchObject({ output: { metadata: {} } });
  });

  it("that failed, or that nobody waited for, is made again", async () => {
    const { trace, lines } = newTrace();
    for (let time = 0; time < 2; time++)
      expect(await refusal(call({ trace, failure: "retryable" }, { idempotencyKey: "c" }))).toMatchObject({
        code: "HANDLER_FAILED",
        delaySeconds: 7,
      });
    expect(await lines()).toHaveLength(2);
    const leaving = new AbortController();
    const left = call({ pieces: 10, piece_ms: 30 }, { idempotencyKey: "d", signal: leaving.signal });
    leaving.abort();
    const again = call({ pieces: 10, piece_ms: 30 }, { idempotencyKey: "d" });
    expect(await refusal(left)).toMatchObject({ code: "CANCELLED" });
    expect(await again).toMatchObject({ output: {} });
  });
});

it("a job's text is among its events while it runs", async () => {
  const id = await runtime.submit("reply", { pieces: 3 });
  await runtime.ended(id);
  const texts = runtime.events.replay(id).filter(({ event }) => event.kind === "text");
  expect(texts).toMatchObject([{ event: { text: "...0...1...2" } }]);
});

it("nothing waits for ever while every executor is busy with calls of others", async () => {
  const config = { pieces: 2, piece_ms: 5 };
  const jobs = await Promise.all([
    ...Array.from({ length: 6 }, () => runtime.submit("ask", { config, times: 3 })),
    ...Array.from({ length: 6 }, () => runtime.submit("ask", { type: "relay", config: { config } })),
    ...Array.from({ length: 6 }, () => runtime.submit("relay", { config })),
    ...Array.from({ length: 6 }, () => runtime.submit("reply", config)),
  ]);
  const calls = Array.from({ length: 10 }, (_, index) => call(config, { type: index % 2 === 0 ? "reply" : "relay" }));
  await Promise.all(calls);
  const statuses = await Promise.all(jobs.map(async (id) => (await runtime.ended(id)).status));
  expect(statuses).toEqual(Array(24).fill("completed"));
}, 30_000);
