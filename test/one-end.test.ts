import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type JobCallback, jobCallback } from "#contract/callback.ts";
import { type ContainerProcess, startContainerProcess } from "./support/container-process.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/*
 * One end of a job, as the app sees it: containers are killed while they run and deliver, and answers of the
 * app's function are lost after it has done its work. A callback may come again, with the same key or from a later
 * attempt; the row of the job changes to a final state once, which a trigger on the table counts.
 */
const jobs = 24;
const names = ["first", "second", "third"] as const;
const handlers = fileURLToPath(new URL("./support/app-handlers", import.meta.url));

interface Final {
  readonly callback: JobCallback;
  readonly wasSkipped: boolean;
}

let project: TestProject;
let users: readonly TestUser[];
let folder: string;
let relay: Server;
let losesAnswers = true;
const finals: Final[] = [];
const containers = new Map<string, ContainerProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-one-end-"));
  project = await startProject();
  users = await Promise.all(Array.from({ length: 4 }, () => project.addUser()));
  await project.database.query("create table public.seen_states (job_id uuid, run int, status text)");
  await project.database.query(`create function public.note_state() returns trigger language plpgsql security definer as $$
    begin insert into public.seen_states values (new.id, new.run, new.status); return null; end $$`);
  await project.database.query(`create trigger note_state after update of status on ourvidz.jobs for each row
    when (old.status is distinct from new.status or old.run is distinct from new.run) execute function public.note_state()`);
  relay = await startRelay();
}, 120_000);

afterAll(async () => {
  await Promise.all([...containers.values()].map((container) => container.kill()));
  relay.closeAllConnections();
  relay.close();
  await project.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Between the containers and job-callback: passes everything on, notes final callbacks, and loses every third answer to one. */
async function startRelay(): Promise<Server> {
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const headers = Object.entries(request.headersDistinct).map(([name, values]) => [name, `${values}`] as const);
    const signature = headers.filter(([name]) => name.startsWith("x-callback-"));
    const { serviceKey } = project.door;
    const answer = await project
      .call("job-callback", {
        body,
        headers: { ...Object.fromEntries(signature), Authorization: `Bearer ${serviceKey}` },
      })
      .catch(() => null);
    const callback = jobCallback.parse(JSON.parse(body.toString()));
    if (callback.status !== "processing" && answer?.status === 200) {
      finals.push({ callback, wasSkipped: answer.body.skipped === true });
      if (losesAnswers && finals.length % 3 === 0) return void request.socket.destroy();
    }
    response.writeHead(answer?.status ?? 503, { "content-type": "application/json" });
    response.end(JSON.stringify(answer?.body ?? {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function start(name: string): void {
  const address = relay.address();
  if (address === null || typeof address === "string") throw new Error("the relay has no port");
  const container = startContainerProcess({
    DATA_DIR: join(folder, name),
    WORKER_ID: name,
    HANDLERS_DIR: handlers,
    WORKERS: "wan",
    UPSTASH_REDIS_REST_URL: project.gateway.url,
    UPSTASH_REDIS_REST_TOKEN: project.gateway.token,
    UPSTASH_LEASE_SECONDS: "2",
    SUPABASE_URL: project.door.url,
    SUPABASE_SERVICE_KEY: project.door.serviceKey,
    CALLBACK_URL: `http://127.0.0.1:${address.port}/functions/v1/job-callback`,
    JOB_CALLBACK_SECRET: project.callbackSecret,
    HEARTBEAT_SECONDS: "0",
  });
  containers.set(name, container);
}

async function queue(user: TestUser | undefined): Promise<string> {
  const { status, body } = await project.call("queue-job", {
    headers: user?.headers ?? {},
    body: {
      type: "video_fast",
      prompt: "a lighthouse at dawn",
      config: { trace: join(folder, "trace"), steps: 4, step_ms: 150, bytes: 1000 },
    },
  });
  expect([status, body]).toMatchObject([202, { success: true }]);
  return String(body.job_id);
}

const finalStates = ["completed", "failed", "cancelled"];

/** Until no row waits for its end. */
async function untilEnded(): Promise<void> {
  const waiting = "select count(*)::int as jobs from ourvidz.jobs where not status = any($1)";
  const count = async () => (await project.database.query(waiting, [finalStates]))[0]?.jobs;
  await expect.poll(count, { timeout: 120_000, interval: 200 }).toBe(0);
}

/** How often the app saw each run of each job come to an end. */
async function seenEnds() {
  return project.database.query(
    "select job_id, run, count(*)::int as ends from public.seen_states where status = any($1) group by job_id, run",
    [finalStates],
  );
}

test("the app sees one end of each job, however often containers die and callbacks come again", {
  timeout: 300_000,
}, async () => {
  for (const name of names) start(name);
  const ids: string[] = [];
  for (let index = 0; index < jobs; index++) ids.push(await queue(users[index % users.length]));
  await expect.poll(() => finals.length, { timeout: 60_000 }).toBeGreaterThan(0);
  for (let kills = 0; kills < 8; kills++) {
    const name = names[kills % names.length] ?? "first";
    await pause(300 + Math.random() * 900);
    await containers.get(name)?.kill();
    start(name);
  }
  await untilEnded();
  losesAnswers = false;
  for (const name of names) await containers.get(name)?.stop();

  const ends = await seenEnds();
  expect(ends.map(({ job_id }) => job_id).toSorted()).toEqual(ids.toSorted());
  expect(ends.filter((row) => row.ends !== 1)).toEqual([]);
  // On the wire each came at least once, and the app took the first of each: what came again was skipped, and known to be.
  const byJob = Map.groupBy(finals, ({ callback }) => callback.job_id);
  expect([...byJob.keys()].toSorted()).toEqual(ids.toSorted());
  expect(finals.length).toBeGreaterThan(jobs);
  for (const [jobId, [first, ...repeats]] of byJob) {
    expect(first?.wasSkipped, jobId).toBe(false);
    for (const { wasSkipped, callback } of repeats) {
      expect(wasSkipped, jobId).toBe(true);
      expect(callback.attempt, jobId).toBeGreaterThanOrEqual(first?.callback.attempt ?? 1);
    }
  }
  const results = "select job_id from ourvidz.assets union all select job_id from ourvidz.usage";
  const perJob = Map.groupBy(await project.database.query(results), ({ job_id }) => job_id);
  for (const [jobId, rows] of perJob) {
    // A job whose container was killed in each of its attempts has failed, and made no file.
    const isCompleted = byJob.get(`${jobId}`)?.[0]?.callback.status === "completed";
    expect(rows.length, `${jobId}`).toBe(isCompleted ? 2 : 1);
  }
});
