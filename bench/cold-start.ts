import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { spawnContainer, temporaryFolder, testHandlers } from "./support/container.ts";
import { limited } from "./support/limited.ts";
import { processTree } from "./support/process-tree.ts";
import { startEndpoints } from "./support/runpod-endpoint.ts";
import { printTable, spread } from "./support/table.ts";

/*
 * How long after the start of a container's process its first job is through, and what processor time that takes: ours and RunPod's
 * official worker at the same emulator, each for one kind of job (WORKERS). First a job that does nothing, then a picture of
 * 128 x 128 in 4 steps on the CPU: by models/tiny-sdxl here, and there by diffusers with random weights of the same sizes.
 *
 *   node bench/cold-start.ts <python that has runpod==1.12.0, torch and diffusers> [rounds]
 */
const [, , python, given] = process.argv;
const rounds = Number(given ?? 3);
const tool = (name: string) => fileURLToPath(new URL(`../tools/runpod/${name}`, import.meta.url));
const tinySdxl = fileURLToPath(new URL("../models/tiny-sdxl", import.meta.url));
const picture = {
  prompt: "a lake",
  model_variant: "tiny-sdxl",
  config: { num_inference_steps: 4, width: 128, height: 128 },
};

/** Of one wait each; many times what they take on a slow machine. */
const limitSeconds = { job: 300, model: 300, end: 20 };

const folder = await temporaryFolder();
const endpoints = await startEndpoints();

type Start = (environment: Readonly<Record<string, string>>, name: string) => ChildProcess;

const ours =
  (more: Readonly<Record<string, string>>): Start =>
  (environment, name) =>
    spawnContainer(join(folder, name), { ...environment, ...more, LOG_LEVEL: "error" }, { detached: true });

const official =
  (program: string, script: readonly string[]): Start =>
  (environment) =>
    spawn(program, [...script], {
      cwd: folder,
      detached: true,
      stdio: "ignore",
      env: { ...process.env, ...environment },
    });

async function measure(name: string, job: string, input: Readonly<Record<string, unknown>>, start: Start) {
  const [wall, processor]: [number[], number[]] = [[], []];
  // The first start compiles what the others find compiled, here as there.
  for (let round = 0; round <= rounds; round++) {
    const endpoint = `${name}-${job.replace(/\W/g, "")}-${round}`;
    const startedAtMs = performance.now();
    const child = start(endpoints.environment(endpoint), endpoint);
    try {
      await firstJob(child, `the first job (${job}) of the worker "${name}" in round ${round}`, (signal) =>
        endpoints.runSync(endpoint, input, signal),
      );
      if (round === 0) continue;
      wall.push(performance.now() - startedAtMs);
      processor.push(processTree(child.pid ?? 0).reduce((sum, { cpuMs }) => sum + cpuMs, 0));
    } finally {
      await end(child);
    }
  }
  return [
    name,
    job,
    String(Math.round(Math.min(...wall))),
    spread(wall, 0),
    String(Math.round(Math.min(...processor))),
  ];
}

/** @throws when the job is not through in time, or when the worker's process ends before it is */
async function firstJob(child: ChildProcess, what: string, run: (signal: AbortSignal) => Promise<unknown>) {
  const ended = new AbortController();
  child.once("exit", (code, by) => ended.abort(new Error(`${what}: its process has ended with ${code ?? by}`)));
  child.once("error", (error) => ended.abort(new Error(`${what}: ${error.message}`)));
  await limited(limitSeconds.job, `${what} is not through`, (signal) => run(AbortSignal.any([signal, ended.signal])));
}

/** With all that it has started, also where it has ended by itself: a worker is a process group of its own. */
async function end(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  const pids = [-pid, ...processTree(pid).map((one) => one.pid)];
  const isRunning = child.exitCode === null && child.signalCode === null;
  await limited(limitSeconds.end, `the process ${pid} is still there, killed,`, async (signal) => {
    const exited = isRunning ? once(child, "exit", { signal }) : undefined;
    for (const one of pids) kill(one);
    await exited;
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended with its parent.
  }
}

/** Random weights of the sizes of models/tiny-sdxl, as diffusers reads them. */
async function makeModel(program: string, target: string): Promise<void> {
  const maker = spawn(program, [tool("official_picture_worker.py"), "make", tinySdxl, target], { stdio: "ignore" });
  try {
    const made = (signal: AbortSignal) => once(maker, "exit", { signal });
    const [code] = await limited(limitSeconds.model, "the official worker's model is not made", made);
    if (code !== 0) throw new Error(`the official worker's model could not be made: ${program} ended with ${code}`);
  } finally {
    await end(maker);
  }
}

const nothing = "nothing";
const drawing = "a picture";
const rows = [["worker", "first job", "best, ms", "median (min to max), ms", "processor time, best, ms"]];
const noop = ours({ HANDLERS_DIR: testHandlers, RUNPOD_JOB_TYPE: "noop", WORKERS: "test" });
try {
  rows.push(await measure("ours", nothing, { prompt: "a lake" }, noop));
  if (python !== undefined)
    rows.push(await measure("official", nothing, { prompt: "a lake" }, official(python, [tool("official_worker.py")])));
  rows.push(await measure("ours", drawing, picture, ours({ RUNPOD_JOB_TYPE: "sdxl_image_fast", WORKERS: "sdxl" })));
  if (python !== undefined) {
    const model = join(folder, "sdxl");
    await makeModel(python, model);
    const worker = official(python, [tool("official_picture_worker.py"), "serve", model]);
    rows.push(await measure("official", drawing, { prompt: "a lake" }, worker));
  }
} catch (error) {
  process.exitCode = 1;
  console.error(`Given up: ${error instanceof Error ? error.message : error}.`);
}
printTable(rows);
await limited(limitSeconds.end, "the emulator has not closed", () => endpoints.close());
await rm(folder, { recursive: true, force: true });
