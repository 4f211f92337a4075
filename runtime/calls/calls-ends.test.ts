import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { type OtlpReceiver, startOtlpReceiver } from "#test/support/otlp-receiver.ts";
import { startTestRuntime, type TestRuntime } from "#test/support/runtime.ts";
import type { InteractiveCall } from "./calls.ts";
import { callHandlers } from "./testing/handlers.ts";

/* How calls end that do not end by themselves: each test has a container of its own, whose executors die. */
let runtime: TestRuntime;
let collector: OtlpReceiver;
let isStopped: boolean;
beforeEach(async () => {
  collector = await startOtlpReceiver();
  runtime = await startTestRuntime({
    HANDLERS_DIR: callHandlers,
    ABORT_GRACE_SECONDS: "0.3",
    SHUTDOWN_GRACE_SECONDS: "2",
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  });
  isStopped = false;
});
afterEach(async () => {
  if (!isStopped) await runtime.stop();
  await collector.close();
  await runtime.remove();
});

function call(config: Record<string, unknown> = {}, fields: Partial<InteractiveCall> = {}) {
  const job = { prompt: "a quiet lake", config };
  return runtime.calls.callNow({ type: "reply", job, signal: new AbortController().signal, ...fields });
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => (error instanceof CodedError ? error : null),
  );

/** A call that has begun to answer. */
function begun(config: Record<string, unknown>, fields: Partial<InteractiveCall> = {}) {
  const first = Promise.withResolvers<void>();
  const answer = call(config, { onText: () => first.resolve(), ...fields });
  answer.catch(() => undefined);
  return { answer, first: first.promise };
}

const executor = () => {
  const found = runtime.executors.get("chat");
  if (found === undefined) throw new Error("there is no executor of chat");
  return found;
};

describe("a call whose handler hangs in one token", () => {
  it.each<[string, (pid: number) => void, Record<string, unknown>]>([
    ["because it computes", () => undefined, { pieces: 1, failure: "hang" }],
    ["because its process is stopped", (pid) => process.kill(pid, "SIGSTOP"), { pieces: 500, piece_ms: 20 }],
  ])(
    "%s is answered in time, its process is killed, and the line goes on",
    async (_why, stop, config) => {
      const { answer, first } = begun(config, { timeoutSeconds: 1 });
      await first;
      const { pid } = executor().status;
      stop(pid ?? 0);
      const next = call();
      expect(await refusal(answer)).toMatchObject({ code: "TIMED_OUT", status: 504, details: { call: "reply" } });
      // Its answer does not wait for the end of the process.
      expect(executor().status).toMatchObject({ pid, restarts: 0 });
      expect(await next).toMatchObject({ output: { text: "...0...1" } });
      expect(executor().status).toMatchObject({ restarts: 1 });
      expect(executor().status.pid).not.toBe(pid);
    },
    20_000,
  );
});

describe("the stop of a container", () => {
  it("lets a call finish that runs, and refuses those that wait and come", async () => {
    const { answer, first } = begun({ pieces: 10, piece_ms: 50 });
    const waiting = refusal(call());
    await first;
    isStopped = true;
    const stopped = runtime.stop();
    expect(await waiting).toMatchObject({ code: "SHUTTING_DOWN", status: 503 });
    expect(await refusal(call())).toMatchObject({ code: "SHUTTING_DOWN" });
    expect(await answer).toMatchObject({ output: { metadata: {} } });
    await stopped;
  });

  it("ends a call that goes on after the grace", async () => {
    const { answer, first } = begun({ pieces: 1000, piece_ms: 50 });
    await first;
    isStopped = true;
    const stopped = runtime.stop();
    expect(await refusal(answer)).toMatchObject({ code: "SHUTTING_DOWN" });
    await stopped;
  });
});

describe("a call of what this container cannot run", () => {
  it("because its model is found to be broken is refused at once from then on, and charged to nobody", async () => {
    expect(await refusal(call({ failure: "model" }))).toMatchObject({
      code: "CALL_NOT_OFFERED",
      details: { call: "reply", code: "MODEL_INVALID" },
    });
    expect(await refusal(call())).toMatchObject({ code: "CALL_NOT_OFFERED", status: 503 });
    expect(runtime.offers.conditions).toMatchObject([{ worker: "chat", subject: "reply" }]);
    // Who cannot do without goes back to the queue, uncharged, and its own worker is not said to be broken.
    const id = await runtime.submit("ask");
    await expect
      .poll(async () => (await runtime.queue.get(id))?.attempts.map(({ outcome }) => outcome), { timeout: 5000 })
      .toContain("released");
    expect(await runtime.ended(id)).toMatchObject({ status: "completed", attempts: expect.any(Array) });
  }, 20_000);
});

it("a call is traced under the job that makes it, and counted", async () => {
  const id = await runtime.submit("ask", { config: { pieces: 1 } });
  await runtime.ended(id);
  await call();
  const text = await runtime.metricsRegistry.text();
  expect(text).toMatch(/ourvidz_calls_total\{type="reply",caller="job",outcome="completed"\} 1/);
  expect(text).toMatch(/ourvidz_calls_total\{type="reply",caller="http",outcome="completed"\} 1/);
  expect(text).toMatch(/ourvidz_call_seconds_count\{type="reply",outcome="completed"\} 2/);
  expect(text).toMatch(/ourvidz_calls_waiting\{worker="chat"\} 0/);
  isStopped = true;
  await runtime.stop();
  const named = (name: string, parent?: string) =>
    collector.spans.find((span) => span.name === name && (parent === undefined || span.parentSpanId === parent));
  const run = named("run", named("job ask")?.spanId);
  const made = named("call reply", run?.spanId);
  expect(made).toMatchObject({ attributes: { "job.id": id, "call.outcome": "completed", worker: "chat" } });
  const ran = named("run", made?.spanId);
  expect(named("wait", made?.spanId)).toBeDefined();
  expect(named("generate", ran?.spanId)?.traceId).toBe(run?.traceId);
});
