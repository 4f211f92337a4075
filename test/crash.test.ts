import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { isSettled, type JobRecord } from "#runtime/sources/job-source.ts";
import { executorsOf, killNow } from "./support/kill.ts";

/*
 * 200 jobs while their executor is killed 20 times and the whole container 5 times, with SIGKILL, at random moments.
 * Afterwards every job has ended, none was delivered twice, and what failed says how it died.
 */
const jobs = 200;
const executorKills = 20;
const containerKills = 5;
const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));
const handlers = fileURLToPath(new URL("./support/handlers", import.meta.url));

let folder: string;
let embedded: Embedded;
let container: ChildProcess;
let stderr = "";

function start(): ChildProcess {
  const child = spawn(process.execPath, [cli, "start"], {
    env: {
      PATH: process.env.PATH,
      DATA_DIR: folder,
      HANDLERS_DIR: handlers,
      PORT: "0",
      LEASE_SECONDS: "1",
      EXECUTOR_RESTART_MAX_SECONDS: "0.5",
      LOG_LEVEL: "info",
      LOG_FORMAT: "json",
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-20_000);
  });
  return child;
}

async function all(): Promise<JobRecord[]> {
  const records: JobRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await embedded.source.list({ limit: 100, ...(cursor === undefined ? {} : { cursor }) });
    records.push(...page.jobs);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return records;
}

async function unsettled(): Promise<number> {
  return (await all()).filter((record) => !isSettled(record.status)).length;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-crash-"));
  embedded = await openEmbedded(readConfig({ DATA_DIR: folder, LEASE_SECONDS: "1" }, () => "observer"));
});

afterAll(async () => {
  container.kill("SIGKILL");
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
});

async function killExecutorsAtRandom(times: number): Promise<number> {
  let killed = 0;
  const deadline = Date.now() + 60_000;
  while (killed < times && Date.now() < deadline && (await unsettled()) > 0) {
    await pause(50 + Math.random() * 250);
    const [victim] = await executorsOf(container.pid ?? 0);
    if (victim !== undefined && killNow(victim)) killed++;
  }
  return killed;
}

it("loses nothing and delivers nothing twice, whatever is killed", { timeout: 180_000 }, async () => {
  for (let index = 0; index < jobs; index++) {
    const job = jobEnvelope.parse({
      id: `job-${index}`,
      type: "noop",
      prompt: "a quiet lake",
      config: { steps: 3, step_ms: 8 },
    });
    await embedded.source.enqueue(job, { worker: "test" });
  }

  let executorsKilled = 0;
  for (let life = 0; life <= containerKills; life++) {
    container = start();
    executorsKilled += await killExecutorsAtRandom(life < containerKills ? executorKills / containerKills : 0);
    if (life === containerKills) break;
    await pause(Math.random() * 200);
    container.kill("SIGKILL");
    await once(container, "exit");
  }
  const deadline = Date.now() + 120_000;
  while ((await unsettled()) > 0 && Date.now() < deadline) await pause(100);

  const records = await all();
  expect(executorsKilled).toBe(executorKills);
  expect(records).toHaveLength(jobs);
  expect(
    records.filter((record) => !isSettled(record.status)).map((record) => record.job.id),
    stderr,
  ).toEqual([]);
  for (const record of records) await expectOneResult(record);
  // The container is alive and well after all that: it ends in order.
  container.kill("SIGTERM");
  const [code] = await once(container, "exit");
  expect(code).toBe(0);
});

async function expectOneResult(record: JobRecord): Promise<void> {
  const { id } = record.job;
  const finals = embedded.callbacks.of(id).filter((callback) => callback.status !== "processing");
  expect(
    finals.map((callback) => callback.status),
    id,
  ).toEqual([record.status]);
  if (record.status === "completed") {
    const files = await readdir(join(folder, "files", "noop", "anonymous", id));
    expect(files, id).toEqual(["0.txt"]);
    expect(await readFile(join(folder, "files", "noop", "anonymous", id, "0.txt"), "utf8")).toBe(
      `${id} a quiet lake\n`,
    );
  } else {
    expect(record.error?.code, id).toMatch(/^(EXECUTOR_CRASHED|ATTEMPTS_EXHAUSTED|LEASE_EXPIRED)$/);
  }
}
