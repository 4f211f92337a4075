import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { jobEnvelope } from "#contract/job.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway } from "#test/support/gateway.ts";
import { startContainer, temporaryFolder, testHandlers } from "./support/container.ts";
import { median, printTable, quantile } from "./support/table.ts";

/*
 * How long the executor of a cancelled job goes on: from the request (DELETE /jobs/<id>) at another container, or at the
 * one that runs the job, to the end of the handler, when the GPU is free, and to the start of the next job on the same
 * executor. The job has steps of STEP_MS (default 200) during which its process does nothing else. SAMPLES (default 40)
 * cancels each, at random moments of a step; containers are processes, on one Redis behind the gateway.
 */
const stepMs = Number(process.env.STEP_MS ?? 200);
const samples = Number(process.env.SAMPLES ?? 40);
const limitMs = 60_000;

interface Sample {
  /** From the request to the end of the handler. */
  readonly freeMs: number;
  /** From the request to the start of the next job. */
  readonly nextMs: number;
  /** From the end of the step in which the request was made to the end of the handler. */
  readonly beyondStepMs: number;
  readonly stepsBegun: number;
}

const gateway = await startTestGateway();
const folder = await temporaryFolder();
const trace = join(folder, "trace");
const queue = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "bench", workers: ["bench"] });

function container(env: Readonly<Record<string, string>>) {
  return startContainer({
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    LOG_LEVEL: "warn",
    ...env,
  });
}

const runner = (env: Readonly<Record<string, string>> = {}) =>
  container({ HANDLERS_DIR: fileURLToPath(new URL("./handlers", import.meta.url)), WORKER_ID: "runs", ...env });

async function enqueue(id: string, steps: number, ms: number): Promise<void> {
  const job = jobEnvelope.parse({ id, type: "steps", prompt: "a lake", config: { steps, step_ms: ms, trace } });
  await queue.enqueue(job, { worker: "bench" });
}

/** When the handler noted this of the job, in order; it waits until there is one. */
async function noted(id: string, what: "step" | "end"): Promise<number[]> {
  for (const limit = Date.now() + limitMs; Date.now() < limit; await pause(5)) {
    const text = await readFile(trace, "utf8").catch(() => "");
    const times = [...text.matchAll(new RegExp(`^${id} ${what} (\\d+)$`, "gm"))].map(([, time]) => Number(time));
    if (times.length > 0) return times;
  }
  throw new Error(`nothing was noted of the ${what} of ${id}`);
}

async function cancelOnce(name: string, url: string): Promise<Sample> {
  const next = `${name}-next`;
  await enqueue(name, 10_000, stepMs);
  await noted(name, "step");
  await enqueue(next, 1, 0);
  await pause(stepMs * 2 * Math.random());
  const requestedAtMs = Date.now();
  const response = await fetch(`${url}/jobs/${name}`, { method: "DELETE" });
  if (response.status !== 202) throw new Error(`the cancel was answered with ${response.status}`);
  const [endedAtMs = Number.NaN] = await noted(name, "end");
  const [nextAtMs = Number.NaN] = await noted(next, "step");
  const steps = await noted(name, "step");
  await noted(next, "end");
  while ((await queue.get(next))?.status !== "completed") await pause(5);
  if ((await queue.get(name))?.status !== "cancelled") throw new Error(`${name} was not cancelled`);
  const inStep = Math.max(...steps.filter((time) => time <= requestedAtMs));
  return {
    freeMs: endedAtMs - requestedAtMs,
    nextMs: nextAtMs - requestedAtMs,
    beyondStepMs: endedAtMs - (inStep + stepMs),
    stepsBegun: steps.filter((time) => time > requestedAtMs).length,
  };
}

async function cancelMany(name: string, url: string, count: number): Promise<Sample[]> {
  const taken: Sample[] = [];
  while (taken.length < count) taken.push(await cancelOnce(`${name}-${taken.length}`, url));
  return taken;
}

const other = await container({ HANDLERS_DIR: testHandlers, WORKERS: "other", WORKER_ID: "asks" });
const here = await runner();
const atOther = await cancelMany("other", other.url, samples);
const atSame = await cancelMany("same", here.url, samples);
await here.stop();
// Without its event stream a container hears of a cancel when it renews the lease, at a third of the lease's time.
const leaseSeconds = 6;
const deaf = await runner({ UPSTASH_EVENTS: "off", UPSTASH_LEASE_SECONDS: String(leaseSeconds) });
const atDeaf = await cancelMany("deaf", other.url, Math.ceil(samples / 4));
await deaf.stop();
await other.stop();
await queue.close();
await gateway.close();
await rm(folder, { recursive: true, force: true });

const figures = (values: readonly number[]) => [0.5, 0.95, 1].map((p) => quantile(values, p).toFixed(0)).join(" / ");
const row = (name: string, taken: readonly Sample[]) => [
  name,
  String(taken.length),
  figures(taken.map(({ freeMs }) => freeMs)),
  figures(taken.map(({ beyondStepMs }) => beyondStepMs)),
  figures(taken.map(({ nextMs }) => nextMs)),
  `${taken.filter(({ stepsBegun }) => stepsBegun > 0).length} (${Math.max(...taken.map(({ stepsBegun }) => stepsBegun))})`,
];
console.log(`Milliseconds after the request to cancel a job of ${stepMs} ms steps: p50 / p95 / most\n`);
printTable([
  ["asked at", "cancels", "GPU free", "of it after the step", "next job runs", "began a step (max)"],
  row("another container", atOther),
  row("the container that runs it", atSame),
  row(`another, no event stream, lease of ${leaseSeconds} s`, atDeaf),
]);
const ratio = median(atOther.map(({ freeMs }) => freeMs)) / median(atSame.map(({ freeMs }) => freeMs));
console.log(`\nanother container / the same: ${ratio.toFixed(2)}×`);
const held = atOther.every(({ stepsBegun }) => stepsBegun <= 1);
console.log(`one step at most after the request (to hold, over the event stream): ${held ? "held" : "NOT held"}`);
