import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { startEmulator } from "#functions/runpod/emulator.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { spawnContainer, temporaryFolder, testHandlers } from "./support/container.ts";
import { printTable, spread } from "./support/table.ts";

/*
 * A container of ours and RunPod's official worker at the same emulator, with jobs that do nothing: how long a job waits for
 * its take, how long it takes in all, and how long after the process's start the first one is through.
 *
 *   node bench/runpod.ts <python that has runpod==1.12.0>
 */
const jobs = 20;
const rounds = 3;
const python = process.argv[2];
const official = fileURLToPath(new URL("../tools/runpod/official_worker.py", import.meta.url));

const folder = await temporaryFolder();
const config = readConfig({ DATA_DIR: folder }, () => "bench");
const embedded = await openEmbedded(config);
const queue = new JobQueues(new Map([["sqlite", embedded.source]]));
const log = await createLogger({ level: "silent", format: "json" });
const own = { config, embedded, log };
const emulator = await startEmulator({
  ...own,
  source: embedded.source,
  queue,
  apiKeys: [],
  host: "127.0.0.1",
  port: 0,
});

function environment(endpoint: string): Record<string, string> {
  const at = (operation: string) => `${emulator.url}/${endpoint}/${operation}/$RUNPOD_POD_ID`;
  return {
    // The official worker knows no other name there.
    RUNPOD_WEBHOOK_GET_JOB: `${emulator.url}/${endpoint}/job-take/$ID`,
    RUNPOD_WEBHOOK_POST_OUTPUT: `${at("job-done")}/$ID`,
    RUNPOD_WEBHOOK_PING: at("ping"),
    RUNPOD_AI_API_KEY: "raw-key",
    RUNPOD_POD_ID: "pod-1",
    RUNPOD_ENDPOINT_ID: endpoint,
    RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
    RUNPOD_SKIP_GPU_CHECK: "true",
  };
}

async function runSync(endpoint: string): Promise<{ readonly wallMs: number; readonly delayMs: number }> {
  const startedAtMs = performance.now();
  const body = JSON.stringify({ input: { prompt: "a lake" } });
  const answer = JSON.parse(
    await (await fetch(`${emulator.url}/${endpoint}/runsync`, { method: "POST", body })).text(),
  );
  if (answer.status !== "COMPLETED") throw new Error(JSON.stringify(answer));
  return { wallMs: performance.now() - startedAtMs, delayMs: answer.delayTime };
}

async function measure(name: string, start: (endpoint: string) => Promise<ChildProcess>) {
  const [cold, delay, wall]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const endpoint = `${name}-${round}`;
    const startedAtMs = performance.now();
    const child = await start(endpoint);
    await runSync(endpoint);
    cold.push(performance.now() - startedAtMs);
    for (let job = 0; job < jobs; job++) {
      const { wallMs, delayMs } = await runSync(endpoint);
      wall.push(wallMs);
      delay.push(delayMs);
    }
    const exited = once(child, "exit");
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    await exited;
  }
  return [name, spread(delay), spread(wall), spread(cold, 0)];
}

const folders: string[] = [];
const rows = [["worker", "submit to take, ms", "submit to end, ms", "start to first end, ms"]];
rows.push(
  await measure("ours", async (endpoint) => {
    const own = await temporaryFolder();
    folders.push(own);
    const env = { ...environment(endpoint), HANDLERS_DIR: testHandlers, RUNPOD_JOB_TYPE: "noop", LOG_LEVEL: "error" };
    return spawnContainer(own, env, { detached: true });
  }),
);
if (python !== undefined)
  rows.push(
    await measure("official", async (endpoint) =>
      spawn(python, [official], { cwd: folder, detached: true, stdio: "ignore", env: environment(endpoint) }),
    ),
  );
printTable(rows);
await emulator.close();
await embedded.close();
for (const one of [folder, ...folders]) await rm(one, { recursive: true, force: true });
