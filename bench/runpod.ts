import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { spawnContainer, temporaryFolder, testHandlers } from "./support/container.ts";
import { startEndpoints } from "./support/runpod-endpoint.ts";
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
const endpoints = await startEndpoints();
const input = { prompt: "a lake" };

async function measure(name: string, start: (endpoint: string) => Promise<ChildProcess>) {
  const [cold, delay, wall]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const endpoint = `${name}-${round}`;
    const startedAtMs = performance.now();
    const child = await start(endpoint);
    await endpoints.runSync(endpoint, input);
    cold.push(performance.now() - startedAtMs);
    for (let job = 0; job < jobs; job++) {
      const { wallMs, delayMs } = await endpoints.runSync(endpoint, input);
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
    const env = {
      ...endpoints.environment(endpoint),
      HANDLERS_DIR: testHandlers,
      RUNPOD_JOB_TYPE: "noop",
      LOG_LEVEL: "error",
    };
    return spawnContainer(own, env, { detached: true });
  }),
);
if (python !== undefined)
  rows.push(
    await measure("official", async (endpoint) =>
      spawn(python, [official], { cwd: folder, detached: true, stdio: "ignore", env: endpoints.environment(endpoint) }),
    ),
  );
printTable(rows);
await endpoints.close();
for (const one of [folder, ...folders]) await rm(one, { recursive: true, force: true });
