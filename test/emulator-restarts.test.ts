import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { startContainerProcess } from "./support/container-process.ts";
import { freePort } from "./support/machine.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* A container works on while the emulator that has given it a job is killed, or stopped, and started again. */
let folder: string;
let port: number;
let url: string;
let container: TestRuntime;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-emulator-restarts-"));
  port = await freePort();
  url = `http://127.0.0.1:${port}/v2/lakes`;
  container = await startTestRuntime({
    RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$RUNPOD_POD_ID`,
    RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/job-done/$RUNPOD_POD_ID/$ID`,
    RUNPOD_WEBHOOK_PING: `${url}/ping/$RUNPOD_POD_ID`,
    RUNPOD_PING_INTERVAL: "1000",
    RUNPOD_POD_ID: "pod-1",
    RUNPOD_AI_API_KEY: "any",
    RUNPOD_JOB_TYPE: "noop",
    RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
  });
});

afterAll(async () => {
  await container.stop();
  await container.remove();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

function startEmulator() {
  const emulator = startContainerProcess({ DATA_DIR: folder }, ["runpod-emulator", "--port", String(port)]);
  onTestFinished(() => emulator.kill());
  return emulator;
}

async function call(operation: string, body?: object) {
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return JSON.parse(await (await fetch(`${url}/${operation}`, init)).text());
}

it.each(["kill", "stop"] as const)("ends a job once whose emulator it was to %s in the middle of it", async (end) => {
  const trace = join(folder, `${end}.txt`);
  const starts = () => readFile(trace, "utf8").catch(() => "");
  const first = startEmulator();
  await expect.poll(() => call("health").catch(() => null), { timeout: 15_000 }).toMatchObject({ jobs: {} });
  const { id } = await call("run", { input: { steps: 60, step_ms: 50, trace } });
  await expect.poll(starts, { timeout: 30_000 }).not.toBe("");
  await first[end]();
  startEmulator();
  const status = () => call(`status/${id}`).catch(() => null);
  await expect.poll(status, { timeout: 30_000 }).toMatchObject({ status: "COMPLETED", workerId: "pod-1" });
  expect((await starts()).trim().split("\n")).toHaveLength(1);
});
