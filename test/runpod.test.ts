import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { type Emulator, startEmulator } from "#functions/runpod/emulator.ts";
import { openHome } from "#functions/runpod/testing/home.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { openHarness, type SqliteHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";

/* A container of a RunPod endpoint, whole, at the endpoint's emulator. */
const key = "a-key-for-tests-0001";
let harness: SqliteHarness;
let emulator: Emulator;
let home: Awaited<ReturnType<typeof openHome>>;
let runtime: TestRuntime;

function startContainer(env: Record<string, string> = {}, endpoint = "lakes"): Promise<TestRuntime> {
  const at = (operation: string) => `${emulator.url}/${endpoint}/${operation}/$RUNPOD_POD_ID`;
  return startTestRuntime({
    RUNPOD_WEBHOOK_GET_JOB: at("job-take"),
    RUNPOD_WEBHOOK_POST_OUTPUT: `${at("job-done")}/$ID`,
    RUNPOD_WEBHOOK_POST_STREAM: `${at("job-stream")}/$ID`,
    RUNPOD_WEBHOOK_PING: at("ping"),
    RUNPOD_POD_ID: `pod-${endpoint}`,
    RUNPOD_ENDPOINT_ID: endpoint,
    RUNPOD_AI_API_KEY: key,
    RUNPOD_JOB_TYPE: "noop",
    RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
    ...env,
  });
}

beforeAll(async () => {
  harness = await openHarness({ durable: false });
  home = await openHome();
  emulator = await startEmulator({
    ...home,
    source: harness.source,
    queue: new JobQueues(new Map([["sqlite", harness.queue]])),
    apiKeys: [key],
    host: "127.0.0.1",
    port: 0,
    log: await createLogger({ level: "silent", format: "json" }),
    nowMs: harness.nowMs,
  });
  runtime = await startContainer();
});

afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  await emulator.close();
  await home.close();
  await harness.close();
});

async function call(path: string, body?: unknown) {
  const headers = { authorization: `Bearer ${key}` };
  const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  return JSON.parse(await (await fetch(`${emulator.url}${path}`, init)).text());
}

const run = async (input: object, endpoint = "lakes"): Promise<string> =>
  (await call(`/${endpoint}/run`, { input })).id;
const runSync = (input: object) => call("/lakes/runsync?wait=60000", { input });
const statusOf = async (id: string, endpoint = "lakes") => (await call(`/${endpoint}/status/${id}`)).status;
const errorOf = ({ error }: { error: string }) => JSON.parse(error);

it("runs what comes as a few fields, and answers with the file itself where nobody else can read it", async () => {
  const answer = await runSync({ prompt: "a quiet lake", steps: 2 });
  expect(answer).toMatchObject({ status: "COMPLETED", workerId: "pod-lakes", delayTime: expect.any(Number) });
  const { assets, metadata } = answer.output;
  expect(Buffer.from(assets[0].data, "base64").toString()).toBe(`${answer.id} a quiet lake\n`);
  expect(metadata).toMatchObject({ steps: 2, job_type: "noop" });
});

it("hands a larger file over itself to who waits for it", async () => {
  const { status, output } = await runSync({ asset_bytes: 9_000_000 });
  expect(status).toBe("COMPLETED");
  expect(output.assets[0].data).toHaveLength(12_000_000);
});

it("runs an envelope of the app's, under the id that the app gave it", async () => {
  const id = randomUUID();
  const { output } = await runSync({ id, type: "noop", user_id: "ann", prompt: "a lake", config: { steps: 1 } });
  expect(output.assets[0].path).toBe(`ann/${id}/0.txt`);
});

it("tries again here what has failed, and posts one end", async () => {
  const answer = await runSync({ fail_until_attempt: 2 });
  expect(answer).toMatchObject({ status: "COMPLETED" });
  expect(runtime.events.replay(answer.id).map(({ event }) => event)).toContainEqual(
    expect.objectContaining({ kind: "state", status: "queued", attempt: 1 }),
  );
});

it.each([
  [{ fail_until_attempt: 9, failure: "permanent" }, "HANDLER_FAILED", "can never do this"],
  [{ type: "river" }, "UNKNOWN_JOB_TYPE", 'Job type "river" is unknown'],
  [{ steps: -1 }, "INVALID_JOB", "steps"],
  [{ asset_bytes: 9_000_000 }, "RESULT_TOO_LARGE", "set SUPABASE_URL"],
])("says of %j what is wrong with it, in the form of RunPod's own errors", async (input, code, message) => {
  const id = await run(input);
  await expect.poll(() => statusOf(id)).toBe("FAILED");
  expect(errorOf(await call(`/lakes/status/${id}`))).toMatchObject({
    error_type: code,
    error_message: expect.stringContaining(message),
    worker_id: "pod-lakes",
  });
});

it("shows how far a job is, and stops it within a step when it is cancelled", async () => {
  const id = await run({ steps: 1000, step_ms: 20 });
  await expect.poll(async () => (await call(`/lakes/status/${id}`)).output?.step).toBeGreaterThan(1);
  expect(await call(`/lakes/cancel/${id}`, {})).toMatchObject({ status: "CANCELLED" });
  await untilEvent(runtime, id, (event) => event.kind === "state" && event.status === "cancelled");
  const progress = runtime.events.replay(id).flatMap(({ event }) => (event.kind === "progress" ? [event.step] : []));
  expect(Math.max(...progress)).toBeLessThan(1000);
  expect(await runSync({})).toMatchObject({ status: "COMPLETED" });
});

it("streams what a job says in its order, and says all of it with the result", async () => {
  const id = await run({ steps: 30, step_ms: 5, speaks: true });
  let streamed = "";
  for (let isOver = false; !isOver; ) {
    const { status, stream } = await call(`/lakes/stream/${id}`);
    streamed += stream.map(({ output }: { output: string }) => output).join("");
    isOver = status === "COMPLETED" && stream.length === 0;
  }
  const { output } = await call(`/lakes/status/${id}`);
  expect(output.text).toBe(Array.from({ length: 30 }, (_, index) => `lake ${index + 1}\n`).join(""));
  expect(streamed).toBe(output.text);
});

it("finishes what runs at its stop, and says of what cannot be finished that it was stopped", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-runpod-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const patient = await startContainer({ DATA_DIR: folder }, "ponds");
  const short = await run({ steps: 20, step_ms: 10 }, "ponds");
  await untilEvent(patient, short, (event) => event.kind === "progress");
  await patient.stop();
  expect(await statusOf(short, "ponds")).toBe("COMPLETED");

  const hasty = await startContainer({ DATA_DIR: folder, SHUTDOWN_GRACE_SECONDS: "0" }, "ponds");
  const long = await run({ steps: 10_000, step_ms: 10 }, "ponds");
  await untilEvent(hasty, long, (event) => event.kind === "progress");
  await hasty.stop();
  const answer = await call(`/ponds/status/${long}`);
  expect(answer.status).toBe("FAILED");
  expect(errorOf(answer)).toMatchObject({ error_type: "SHUTTING_DOWN" });
});

it("is to be stopped after the number of jobs that it was started for", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-runpod-"));
  const single = await startContainer({ DATA_DIR: folder, RUNPOD_REFRESH_AFTER_JOBS: "1" }, "rivers");
  onTestFinished(async () => {
    await single.stop();
    await single.remove();
  });
  const id = await run({}, "rivers");
  await single.stopRequested;
  expect(await statusOf(id, "rivers")).toBe("COMPLETED");
});
