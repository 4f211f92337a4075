import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { startContainerProcess } from "./support/container-process.ts";
import { isThere } from "./support/kill.ts";
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
  container = await startTestRuntime(ofEndpoint(url));
});

const ofEndpoint = (at: string) => ({
  RUNPOD_WEBHOOK_GET_JOB: `${at}/job-take/$RUNPOD_POD_ID`,
  RUNPOD_WEBHOOK_POST_OUTPUT: `${at}/job-done/$RUNPOD_POD_ID/$ID`,
  RUNPOD_WEBHOOK_PING: `${at}/ping/$RUNPOD_POD_ID`,
  RUNPOD_PING_INTERVAL: "1000",
  RUNPOD_POD_ID: "pod-1",
  RUNPOD_AI_API_KEY: "any",
  RUNPOD_JOB_TYPE: "noop",
  RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
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

it("has no job taken by a container that cannot listen", async () => {
  startEmulator();
  const rivers = url.replace("/lakes", "/rivers");
  const at = async (operation: string, init: RequestInit = {}) =>
    JSON.parse(await (await fetch(`${rivers}/${operation}`, init)).text());
  await expect.poll(() => at("health").catch(() => null), { timeout: 15_000 }).toMatchObject({ jobs: {} });
  const { id } = await at("run", { method: "POST", body: JSON.stringify({ input: {} }) });
  const data = await mkdtemp(join(folder, "no-port-"));
  const handlers = fileURLToPath(new URL("./support/handlers", import.meta.url));
  const own = { DATA_DIR: data, HANDLERS_DIR: handlers, PORT: String(port) };
  const other = startContainerProcess({ ...ofEndpoint(rivers), ...own });
  onTestFinished(() => other.kill());
  await expect.poll(other.log, { timeout: 30_000 }).toContain(`Port ${port}`);
  await expect.poll(() => isThere(other.pid), { timeout: 15_000 }).toBe(false);
  expect(await at(`status/${id}`)).toMatchObject({ status: "IN_QUEUE" });
  expect(await at("health")).toMatchObject({ jobs: { inProgress: 0 }, workers: { running: 0 } });
});
