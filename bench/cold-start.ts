import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { spawnContainer, temporaryFolder, testHandlers } from "./support/container.ts";
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
    await endpoints.runSync(endpoint, input);
    const tookMs = performance.now() - startedAtMs;
    const processes = processTree(child.pid ?? 0);
    if (round > 0) wall.push(tookMs);
    if (round > 0) processor.push(processes.reduce((sum, { cpuMs }) => sum + cpuMs, 0));
    await end(
      child,
      processes.map(({ pid }) => pid),
    );
  }
  return [
    name,
    job,
    String(Math.round(Math.min(...wall))),
    spread(wall, 0),
    String(Math.round(Math.min(...processor))),
  ];
}

async function end(child: ChildProcess, pids: readonly number[]): Promise<void> {
  const exited = once(child, "exit");
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended with its parent.
    }
  }
  await exited;
}

const nothing = "nothing";
const drawing = "a picture";
const rows = [["worker", "first job", "best, ms", "median (min to max), ms", "processor time, best, ms"]];
const noop = ours({ HANDLERS_DIR: testHandlers, RUNPOD_JOB_TYPE: "noop", WORKERS: "test" });
rows.push(await measure("ours", nothing, { prompt: "a lake" }, noop));
if (python !== undefined)
  rows.push(await measure("official", nothing, { prompt: "a lake" }, official(python, [tool("official_worker.py")])));
rows.push(await measure("ours", drawing, picture, ours({ RUNPOD_JOB_TYPE: "sdxl_image_fast", WORKERS: "sdxl" })));
if (python !== undefined) {
  const model = join(folder, "sdxl");
  await once(spawn(python, [tool("official_picture_worker.py"), "make", tinySdxl, model], { stdio: "ignore" }), "exit");
  const worker = official(python, [tool("official_picture_worker.py"), "serve", model]);
  rows.push(await measure("official", drawing, { prompt: "a lake" }, worker));
}
printTable(rows);
await endpoints.close();
await rm(folder, { recursive: true, force: true });
