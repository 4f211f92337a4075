import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import { badGateway, randomFaults, tooManyRequests } from "#gateway/faults.ts";
import { type AttemptRecord, isSettled, type JobRecord, type JobStatus } from "#runtime/sources/job-source.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";
import { executorsOf, killNow } from "./support/kill.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";

/*
 * Three containers on one Redis while everything goes wrong: containers and executors are killed, requests are dropped
 * before and after they were applied, delayed, answered with 429 and 502, and Redis itself is killed and restarted. One
 * container alone has a handler for jobs of the type rare, and one lacks what jobs of the type picky need.
 *
 *   CHAOS_JOBS=2000 CHAOS_SECONDS=1200 npx vitest run test/redis-chaos    for a long run
 */
const jobs = Number(process.env.CHAOS_JOBS ?? 200);
const chaosSeconds = Number(process.env.CHAOS_SECONDS ?? 25);
const quietLimitMs = 120_000 + jobs * 100;
const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));
const handlersOf = (place: number) =>
  fileURLToPath(new URL(place === 0 ? "./support/chaos-handlers-rare" : "./support/chaos-handlers", import.meta.url));
/** Jobs of three steps that keep the three containers busy for most of the chaos, and short enough to live through it. */
const stepMs = Math.min(180, Math.round((chaosSeconds * 1000 * 0.6) / jobs));
/** Every twentieth job is made to fail, in one of these ways in turn; the others may be tried until they succeed. */
const dooms = ["permanent", "error", "kill"] as const;
const isDoomed = (index: number) => index % 20 === 7;
const typeOf = (index: number) => {
  if (isDoomed(index)) return "noop";
  return index % 5 === 0 ? "rare" : index % 5 === 1 ? "picky" : "steady";
};
const doomOf = (index: number) => dooms[Math.floor(index / 20) % dooms.length];

let gateway: TestGateway;
let app: CallbackServer;
let isChaos = true;
let folders: string[];
let containers: ChildProcess[];
let queue: UpstashSource;
const counts = { containers: 0, executors: 0, redis: 0 };

function start(place: number): ChildProcess {
  return spawn(process.execPath, [cli, "start"], {
    env: {
      PATH: process.env.PATH,
      DATA_DIR: folders[place],
      HANDLERS_DIR: handlersOf(place),
      PORT: "0",
      UPSTASH_REDIS_REST_URL: gateway.url,
      UPSTASH_REDIS_REST_TOKEN: gateway.token,
      UPSTASH_LEASE_SECONDS: "2",
      CALLBACK_URL: app.url,
      JOB_CALLBACK_SECRET: app.secret,
      EXECUTOR_RESTART_MAX_SECONDS: "0.5",
      WORKER_ID: `container-${place}`,
      LOG_LEVEL: "silent",
    },
    stdio: "ignore",
  });
}

beforeAll(async () => {
  const faults = randomFaults(
    [
      { fault: { kind: "drop", at: "before" }, probability: 0.02 },
      { fault: { kind: "drop", at: "after" }, probability: 0.02 },
      { fault: { kind: "delay", at: "after", delayMs: 300 }, probability: 0.02 },
      { fault: tooManyRequests, probability: 0.02 },
      { fault: badGateway, probability: 0.02 },
    ],
    Math.random,
  );
  gateway = await startTestGateway({
    redis: { persistence: true },
    faults: (request) => (isChaos ? faults(request) : undefined),
  });
  app = await startCallbackServer();
  folders = await Promise.all([0, 1, 2].map(() => mkdtemp(join(tmpdir(), "ourvidz-chaos-"))));
  queue = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "observer", tries: 10 });
});

afterAll(async () => {
  for (const container of containers) container.kill("SIGKILL");
  await queue.close();
  await gateway.close();
  await app.close();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function makeChaos(): Promise<void> {
  const end = Date.now() + chaosSeconds * 1000;
  while (Date.now() < end) {
    await pause(100 + Math.random() * 400);
    const place = Math.floor(Math.random() * containers.length);
    const victim = containers[place];
    const draw = Math.random();
    if (draw < 0.15 && victim !== undefined) {
      const exited = victim.exitCode === null && victim.signalCode === null ? once(victim, "exit") : null;
      victim.kill("SIGKILL");
      await exited;
      counts.containers++;
      containers[place] = start(place);
    } else if (draw < 0.2) {
      await gateway.redis.restart();
      counts.redis++;
    } else {
      const [executor] = await executorsOf(victim?.pid ?? 0);
      if (executor !== undefined && killNow(executor)) counts.executors++;
    }
  }
}

/** Every twenty-fifth job is cancelled, wherever it is by then. */
async function cancelSome(): Promise<void> {
  for (let index = 3; index < jobs; index += 25) {
    await pause(Math.random() * 500);
    await queue.cancel(`job-${index}`).catch(() => undefined);
  }
}

const isFinal = ({ status }: JobCallback) => status !== "processing";

it("loses no job and shows no second result, whatever breaks", {
  timeout: chaosSeconds * 1000 + quietLimitMs + 60_000,
}, async () => {
  containers = folders.map((_, place) => start(place));
  for (let index = 0; index < jobs; index++) {
    const failing = isDoomed(index) ? { fail_until_attempt: 99, failure: doomOf(index) } : {};
    const body = {
      id: `job-${index}`,
      type: typeOf(index),
      prompt: "a quiet lake",
      user_id: `user-${index % 7}`,
      config: { steps: 3, step_ms: stepMs, ...failing },
    };
    // Half of the producers know nothing of us and push plain elements; a push that fails is pushed again.
    await pushed(
      index % 2 === 0
        ? () => gateway.client().lpush("test_queue", JSON.stringify(body))
        : () => queue.enqueue({ priority: 0, metadata: {}, ...body }, { worker: "test" }),
    );
  }
  await Promise.all([makeChaos(), cancelSome()]);
  isChaos = false;

  const quiet = Date.now() + quietLimitMs;
  const records = async () => Promise.all(Array.from({ length: jobs }, (_, index) => queue.get(`job-${index}`)));
  let seen = await records();
  while (seen.some((record) => record === null || !isSettled(record.status)) && Date.now() < quiet) {
    await pause(500);
    seen = await records();
  }
  const lost = seen.flatMap((record, index) =>
    record === null || !isSettled(record.status) ? [`job-${index}: ${record?.status ?? "unknown"}`] : [],
  );
  expect(lost).toEqual([]);

  // Containers end in order, with nothing left to deliver.
  for (const container of containers) container.kill("SIGTERM");
  await Promise.all(containers.map(async (container) => container.exitCode ?? once(container, "exit")));
  const arrived = app.arrived.map(({ callback }) => callback).filter(isFinal);
  const ends = [...app.known.values()].filter(isFinal);
  expect(ends).toHaveLength(jobs);
  for (const [index, record] of seen.entries()) {
    const id = `job-${index}`;
    const status = expectedStatus(index, record);
    expect(record?.status, `${id}: ${JSON.stringify(record?.error)}`).toBe(status);
    // A container may die between reporting an end and settling the job, and then the callback comes again, from its next
    // process or from a later attempt: the app takes the first one and skips what follows, which may not contradict it.
    expect(ends.filter((end) => end.job_id === id).map((end) => end.status)).toEqual([status]);
    expect(new Set(arrived.filter((end) => end.job_id === id).map((end) => end.status)), id).toEqual(new Set([status]));
    if (status === "completed") expect(await filesOf(id), id).toEqual(["0.txt"]);
    checkPlaces(index, record?.attempts ?? []);
  }
  const failed = seen.filter((record) => record?.status === "failed");
  const attempts = seen.filter((record) => record?.status === "completed").map((record) => record?.attempt ?? 0);
  console.log(
    `${jobs} jobs; killed ${counts.containers} containers, ${counts.executors} executors, ${counts.redis} times Redis`,
  );
  console.log(
    `0 lost, ${failed.length} failed (${seen.filter((_, index) => isDoomed(index)).length} made to), ` +
      `${arrived.length} final callbacks, ${arrived.length - jobs} of them came again and were skipped; up to ${Math.max(...attempts)} attempts for a job that completed`,
  );
});

function expectedStatus(index: number, record: JobRecord | null): JobStatus {
  if (index % 25 === 3 && record?.status === "cancelled") return "cancelled";
  return isDoomed(index) ? "failed" : "completed";
}

/** Who ran the job is who could: the one container with its handler, or one that has what it needs. */
function checkPlaces(index: number, attempts: readonly AttemptRecord[]): void {
  const places = new Set(attempts.map(({ workerId }) => workerId));
  if (typeOf(index) === "rare" && places.size > 0) expect(places, `job-${index}`).toEqual(new Set(["container-0"]));
  if (typeOf(index) !== "picky") return;
  // An attempt there may have been killed, as any other; what the container lacks is never charged.
  const charged = attempts.filter(({ outcome, error }) => outcome === "completed" || error?.code === "MODEL_NOT_FOUND");
  const where = charged.map(({ workerId }) => workerId);
  expect(where, `job-${index}`).not.toContain("container-2");
}

async function pushed(push: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await push();
      return;
    } catch (error) {
      if (tries === 20) throw error;
      await pause(50);
    }
  }
}

/** The job's files, by the names that every container would give them. */
async function filesOf(jobId: string): Promise<string[]> {
  const index = Number(jobId.slice(4));
  const user = `user-${index % 7}`;
  const names = await Promise.all(
    folders.map((folder) => readdir(join(folder, "files", typeOf(index), user, jobId)).catch(() => [])),
  );
  return [...new Set(names.flat())];
}
