import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type BenchContainer, startContainer } from "./support/container.ts";
import { printTable, quantile } from "./support/table.ts";

/*
 * What callers that mean no good cost everybody else: the time of `/health`, each on a connection of its own every 20 ms, and
 * how late the container's event loop ran (`ourvidz_event_loop_delay_seconds`), while
 *
 *   half-open   2,000 connections of one address are held that send half a head, half a body or nothing, for SECONDS
 *               (default 120); one that the container ends is opened again
 *   bodies      bodies are sent that cost the most: too large, too many values or names, too deep, as large as is taken
 *   pages       a list of 200 jobs of a megabyte is read, page after page
 *   readers     1,000 readers follow one job that reports 20 steps with pictures a second
 *
 * and beside nothing of it. PARTS chooses some of them: `PARTS=nothing,half-open`. To hold: p99 of `/health` 100 ms; loop time of one caller's input 50 ms.
 */
const seconds = Number(process.env.SECONDS ?? 120);
const everyMs = 20;
const clients = fileURLToPath(new URL("./support/clients.ts", import.meta.url));
const handlers = fileURLToPath(new URL("./handlers", import.meta.url));

function health(container: BenchContainer): Promise<number> {
  const startedAtMs = performance.now();
  return new Promise((resolve, reject) => {
    request(`${container.url}/health`, { agent: false }, (response) => {
      response.resume().once("end", () => resolve(performance.now() - startedAtMs));
    })
      .once("error", reject)
      .end();
  });
}

interface Measured {
  readonly tookMs: readonly number[];
  readonly failures: number;
  /** How many samples of the loop were later than each bound. */
  readonly later: Readonly<Record<string, number>>;
}

const bounds = ["0.05", "0.1", "0.25", "1"];

async function lateness(container: BenchContainer): Promise<Record<string, number>> {
  const text = await (await fetch(`${container.url}/metrics`)).text();
  const count = (bound: string) =>
    Number(
      new RegExp(`^ourvidz_event_loop_delay_seconds_bucket{le="${RegExp.escape(bound)}"} (\\d+)`, "m").exec(text)?.[1],
    );
  return Object.fromEntries(bounds.map((bound) => [bound, count("+Inf") - count(bound)]));
}

/** Asks for `/health` until `work` is done. */
async function during(container: BenchContainer, work: () => Promise<unknown>): Promise<Measured> {
  const before = await lateness(container);
  let isDone = false;
  const working = work().finally(() => {
    isDone = true;
  });
  const tookMs: number[] = [];
  let failures = 0;
  while (!isDone) {
    const took = await health(container).catch(() => null);
    if (took === null) failures++;
    else tookMs.push(took);
    await pause(Math.max(0, everyMs - (took ?? 0)));
  }
  await working;
  const after = await lateness(container);
  const later = Object.fromEntries(bounds.map((bound) => [bound, (after[bound] ?? 0) - (before[bound] ?? 0)]));
  return { tookMs, failures, later };
}

async function startClients(container: BenchContainer, ...args: string[]): Promise<ChildProcess> {
  const [mode = "", ...rest] = args;
  const child = fork(clients, [mode, new URL(container.url).port, ...rest]);
  await once(child, "message");
  return child;
}

async function halfOpen(container: BenchContainer): Promise<void> {
  const child = await startClients(container, "half-open", "2000");
  await pause(seconds * 1000);
  child.kill();
}

const job = { type: "lively", prompt: "a quiet lake" };
const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`name_${n}`, n]));
const zeros = (count: number) => Array.from({ length: count }, () => 0);
/** Each with what it is to be answered. */
const bodies: readonly (readonly [string, string, number])[] = [
  ["500,000 names", JSON.stringify({ ...job, config: names(500_000) }), 413],
  ["4,000,000 zeros", JSON.stringify({ ...job, config: { seconds: 0, list: zeros(4_000_000) } }), 413],
  ["200,000 names in 2 MB", JSON.stringify({ ...job, config: names(100_000) }), 413],
  ["2 MB of zeros", JSON.stringify({ ...job, config: { seconds: 0, list: zeros(900_000) } }), 413],
  ["2 MB of white space", `${" ".repeat(2_000_000)}{}`, 422],
  ["2 MB of a type", JSON.stringify({ type: "x".repeat(2_000_000) }), 422],
  ["100,000 levels", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, 400],
  [
    "1,000 names in each object",
    JSON.stringify({ ...job, ...names(900), config: { seconds: 0, ...names(990) }, metadata: names(1000) }),
    202,
  ],
  ["9,000 zeros", JSON.stringify({ ...job, config: { seconds: 0, list: zeros(9000) } }), 202],
  ["a job of 1 MB", JSON.stringify({ ...job, config: { seconds: 0, note: "n".repeat(1_000_000) } }), 202],
];

async function post(container: BenchContainer, body: string): Promise<number> {
  const response = await fetch(`${container.url}/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
  }).catch(() => null);
  await response?.arrayBuffer().catch(() => undefined);
  // A refusal may come before the body is sent, which fetch takes for an error.
  return response?.status ?? 413;
}

async function sendBodies(container: BenchContainer): Promise<void> {
  for (let round = 0; round < 5; round++) {
    for (const [what, body, expected] of bodies) {
      const status = await post(container, body);
      if (status !== expected) throw new Error(`${what}: answered ${status} and not ${expected}`);
    }
  }
}

async function readPages(container: BenchContainer): Promise<void> {
  let [jobs, pages] = [0, 0];
  for (let cursor: string | null = ""; cursor !== null; pages++) {
    const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const response = await fetch(`${container.url}/jobs?limit=200${query}`);
    const page = (await response.json()) as { jobs: unknown[]; cursor: string | null };
    jobs += page.jobs.length;
    cursor = page.cursor;
  }
  console.log(`${jobs} jobs on ${pages} pages`);
}

async function readers(container: BenchContainer): Promise<void> {
  const config = { seconds: 30 };
  const response = await fetch(`${container.url}/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...job, config, priority: 100 }),
  });
  const { job_id } = (await response.json()) as { job_id: string };
  const child = await startClients(container, "readers", "1000", job_id);
  await pause(30_000);
  child.send("how much");
  const [received] = await once(child, "message");
  console.log(`1,000 readers received ${(Number(received) / 1_000_000).toFixed(0)} MB`);
  child.kill();
}

function row(name: string, { tookMs, failures, later }: Measured): string[] {
  const times = [0.5, 0.99, 1].map((p) => quantile(tookMs, p).toFixed(1));
  return [name, String(tookMs.length), String(failures), ...times, ...bounds.map((bound) => String(later[bound]))];
}

async function readLargePages(container: BenchContainer): Promise<Measured> {
  await fetch(`${container.url}/worker/pause`, { method: "POST" });
  const big = JSON.stringify({ ...job, config: { seconds: 0, note: "n".repeat(1_000_000) } });
  for (let more = 0; more < 200; more++) await post(container, big);
  const measured = await during(container, () => readPages(container));
  await fetch(`${container.url}/worker/resume`, { method: "POST" });
  return measured;
}

const container = await startContainer({ HANDLERS_DIR: handlers, WORKERS: "bench" });
const parts: Readonly<Record<string, () => Promise<Measured>>> = {
  nothing: () => during(container, () => pause(20_000)),
  bodies: () => during(container, () => sendBodies(container)),
  pages: () => readLargePages(container),
  readers: () => during(container, () => readers(container)),
  "half-open": () => during(container, () => halfOpen(container)),
};
const wanted = (process.env.PARTS ?? Object.keys(parts).join(",")).split(",");
const rows = [["", "requests", "failed", "p50 ms", "p99 ms", "max ms", ...bounds.map((bound) => `loop > ${bound} s`)]];
for (const [name, measure] of Object.entries(parts)) if (wanted.includes(name)) rows.push(row(name, await measure()));
printTable(rows);
await container.stop();
