import { once } from "node:events";
import { rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { startRuntime } from "#runtime/container/start-runtime.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { residentMiB, spawnContainer, startContainer, temporaryFolder, testHandlers } from "./support/container.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * What the runtime itself costs, beside the numbers that it is to hold: CPU time of the dispatcher process for one job
 * (take → handler starts, last step → settled), process start → first take, resident memory at rest.
 */
const jobs = 300;
const rounds = 5;

/** CPU milliseconds per job of this process, its children not counted, over `jobs` jobs without inference. */
async function cpuPerJob(): Promise<number> {
  const folder = await temporaryFolder();
  const config = readConfig({ DATA_DIR: folder, HANDLERS_DIR: testHandlers }, () => "bench");
  const runtime = await startRuntime(config, await createLogger({ level: "silent", format: "json" }));
  // As where they can be asked for: the recording is a part of the cost.
  await runtime.metricsRegistry.load();
  const ids = Array.from({ length: jobs }, (_, index) => `job-${index}`);
  runtime.dispatcher.pause();
  for (const id of ids)
    await runtime.queue.enqueue(jobEnvelope.parse({ id, type: "noop", prompt: "a lake" }), { worker: "test" });
  await pause(500);
  const ended = Promise.all(ids.map((id) => untilEnd(runtime.events, id)));
  const before = process.cpuUsage();
  runtime.dispatcher.resume();
  await ended;
  const used = process.cpuUsage(before);
  await runtime.stop();
  await rm(folder, { recursive: true, force: true });
  return (used.user + used.system) / 1000 / jobs;
}

function untilEnd(events: Awaited<ReturnType<typeof startRuntime>>["events"], jobId: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = events.subscribe(jobId, ({ event }) => {
      if (event.kind !== "state" || (event.status !== "completed" && event.status !== "failed")) return;
      stop();
      resolve();
    });
  });
}

/** Milliseconds from the start of the process to the lease of a job that waits already. */
async function startToFirstTake(handlers: string | undefined, type: string, worker: string): Promise<number> {
  const folder = await temporaryFolder();
  const embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "bench"));
  await embedded.source.enqueue(jobEnvelope.parse({ id: "first", type, prompt: "a lake" }), { worker });
  const startedAtMs = Date.now();
  const child = spawnContainer(folder, handlers === undefined ? {} : { HANDLERS_DIR: handlers });
  let takenAtMs: number | null = null;
  while (takenAtMs === null) {
    await pause(5);
    takenAtMs = (await embedded.source.get("first"))?.attempts[0]?.startedAtMs ?? null;
  }
  child.kill("SIGKILL");
  await once(child, "exit");
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
  return takenAtMs - startedAtMs;
}

async function restingMiB(): Promise<number> {
  const container = await startContainer();
  await pause(5000);
  const size = await residentMiB(container.process.pid ?? 0);
  await container.stop();
  return size;
}

async function repeat(times: number, measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let round = 0; round < times; round++) values.push(await measure());
  return values;
}

function row(what: string, values: readonly number[], limit: number, unit: string): string[] {
  return [
    what,
    `${spread(values)} ${unit}`,
    `≤ ${limit} ${unit}`,
    (median(values) / limit).toFixed(2),
    median(values) <= limit ? "held" : "NOT held",
  ];
}

// The first start compiles what the others find compiled.
await (await startContainer()).stop();
printTable([
  ["what", "median (min to max)", "to hold", "ratio", ""],
  row(`dispatcher's CPU time a job (${jobs} jobs)`, await repeat(rounds, cpuPerJob), 5, "ms"),
  row(
    "process start → first take",
    await repeat(rounds, () => startToFirstTake(undefined, "sdxl_image_fast", "sdxl")),
    300,
    "ms",
  ),
  row("dispatcher process at rest", await repeat(3, restingMiB), 130, "MiB"),
]);
