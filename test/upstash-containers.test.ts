import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ContainerReport } from "#runtime/sources/upstash/testing/container.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/* Containers as processes on one queue, some of which die. */

const program = fileURLToPath(new URL("../runtime/sources/upstash/testing/container.ts", import.meta.url));
const leaseSeconds = 1;
let gateway: TestGateway;
const containers: Container[] = [];

interface Container {
  readonly process: ChildProcess;
  readonly reports: ContainerReport[];
}

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());
beforeEach(async () => {
  await gateway.client().flushall();
  containers.length = 0;
  return () => {
    for (const container of containers) container.process.kill("SIGKILL");
  };
});

function startContainer(): Container {
  const args = [gateway.url, gateway.token, `container-${containers.length + 1}`, String(leaseSeconds)];
  const container: Container = { process: fork(program, args), reports: [] };
  container.process.on("message", (report: ContainerReport) => container.reports.push(report));
  containers.push(container);
  return container;
}

async function pushJobs(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, place) => `job-${place}`);
  const elements = ids.map((id) => JSON.stringify({ id, type: "sdxl_image_fast", user_id: `user-${id.at(-1)}` }));
  await gateway.client().lpush("sdxl_queue", ...elements);
  return ids;
}

async function reportOf(container: Container, kind: ContainerReport[0]): Promise<ContainerReport> {
  for (;;) {
    const found = container.reports.find(([each]) => each === kind);
    if (found) return found;
    await once(container.process, "message");
  }
}

test("containers that die lose no job, and no job is completed twice", { timeout: 60_000 }, async () => {
  const ids = await pushJobs(300);
  const doomed = [startContainer(), startContainer()];
  const surviving = [startContainer(), startContainer()];
  for (const container of doomed) {
    await reportOf(container, "completed");
    await pause(Math.random() * 50);
    container.process.kill("SIGKILL");
  }
  await Promise.all(surviving.map(({ process }) => once(process, "exit")));

  const reports = containers.flatMap((container) => container.reports);
  const completed = reports.filter(([kind]) => kind === "completed").map(([, id]) => id);
  expect(new Set(completed).size).toBe(completed.length);
  const source = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "reader" });
  const { jobs } = await source.list({ limit: 1_000, status: "completed" });
  expect(jobs.map(({ job }) => job.id).toSorted()).toEqual(ids.toSorted());
  const interrupted = jobs.filter(({ attempt }) => attempt > 1);
  expect(interrupted.length).toBeLessThanOrEqual(4);
  for (const { attempts } of interrupted) expect(attempts[0]).toMatchObject({ outcome: "expired" });
  await source.close();
});

test("a container that is killed has its job run elsewhere as soon as its lease has run out", async () => {
  const victim = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "victim", leaseSeconds });
  const [id] = await pushJobs(1);
  const {
    leases: [lease],
  } = await victim.take([{ worker: "sdxl", slots: 1 }]);
  await victim.close();
  expect(lease).toMatchObject({ jobId: id, attempt: 1 });
  const startedMs = performance.now();
  const [, jobId, attempt] = await reportOf(startContainer(), "completed");
  expect([jobId, attempt]).toEqual([id, 2]);
  // Hearing nothing it would look again after 18 seconds; its own start is part of the time.
  expect(performance.now() - startedMs).toBeLessThan(leaseSeconds * 1000 + 10_000);
});
