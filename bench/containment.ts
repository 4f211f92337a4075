import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { startContainerProcess } from "#test/support/container-process.ts";
import { executorsOf, processesNaming } from "#test/support/kill.ts";
import { startTestRuntime } from "#test/support/runtime.ts";
import { temporaryFolder } from "./support/container.ts";
import { printTable, spread } from "./support/table.ts";

/*
 * What is left of a container that is killed while its handler blocks, has spawned programs in every way and ignores signals,
 * and what four crashing jobs of one user cost another user: `node bench/containment.ts`.
 */
const rounds = 5;
const handlers = fileURLToPath(new URL("../test/support/containment-handlers", import.meta.url));
const programs = 8;

interface Death {
  readonly processes: number;
  readonly goneAfterMs: number;
  readonly leftAfter5s: number;
}

async function killContainer(): Promise<Death> {
  const folder = await temporaryFolder();
  const file = join(folder, "looked-at");
  await writeFile(file, "");
  const embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "bench"));
  const job = jobEnvelope.parse({ id: "job", type: "spawner", prompt: "a lake", config: { file, ending: "block" } });
  await embedded.source.enqueue(job, { worker: "test" });
  const container = startContainerProcess({ DATA_DIR: folder, HANDLERS_DIR: handlers });
  while ((await processesNaming(file)).length < programs) await pause(20);
  const processes = (await processesNaming(folder)).length;
  await container.kill();
  const killedAtMs = performance.now();
  while ((await processesNaming(folder)).length > 0 && performance.now() - killedAtMs < 5000) await pause(5);
  const goneAfterMs = performance.now() - killedAtMs;
  await pause(5000 - goneAfterMs);
  const leftAfter5s = (await processesNaming(folder)).length + (await executorsOf(container.pid)).length;
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
  return { processes, goneAfterMs, leftAfter5s };
}

/** Milliseconds until a job of one user is through that stands behind four crashing ones of another. */
async function delayByCrashes(crashes: number): Promise<number> {
  const container = await startTestRuntime({ EXECUTOR_RESTART_MAX_SECONDS: "60" });
  await container.ended(await container.submit("noop", {}, { user_id: "ann" }));
  const config = { failure: "exit", fail_until_attempt: 9 };
  for (let index = 0; index < crashes; index++) await container.submit("noop", config, { user_id: "mallory" });
  const startedAtMs = performance.now();
  await container.ended(await container.submit("noop", {}, { user_id: "ann" }));
  const tookMs = performance.now() - startedAtMs;
  await container.stop();
  await container.remove();
  return tookMs;
}

const deaths: Death[] = [];
const delays: number[] = [];
for (let round = 0; round < rounds; round++) {
  deaths.push(await killContainer());
  delays.push(await delayByCrashes(4));
}
const ms = (values: readonly number[]) => `${spread(values, 0)} ms`;
printTable([
  ["what", "measured", "target"],
  ["processes of the container before SIGKILL", String(Math.max(...deaths.map(({ processes }) => processes))), ""],
  ["… 5 s after", String(Math.max(...deaths.map(({ leftAfter5s }) => leftAfter5s))), "0"],
  ["… all gone after", ms(deaths.map(({ goneAfterMs }) => goneAfterMs)), "5000 ms"],
  ["another user's job behind four crashing ones", ms(delays), "5000 ms"],
]);
