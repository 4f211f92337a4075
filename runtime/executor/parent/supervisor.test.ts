import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type ProcessState, Supervisor } from "./supervisor.ts";

/* With small processes that behave as their text says, not with real executors: those are in executor.test.ts. */
let folder: string;
let supervisor: Supervisor | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-supervisor-"));
});

afterEach(async () => {
  await supervisor?.stop(0);
  await rm(folder, { recursive: true, force: true });
});

const ready = 'process.send({ kind: "ready", types: [], problems: [] });';
const obeys =
  'process.on("message", ({ kind }) => { if (kind === "stop" && process.connected) process.disconnect(); });';

function supervise(script: string, start?: () => never): Supervisor {
  const entry = join(folder, "child.mjs");
  const log = { level: "silent", format: "json" } as const;
  supervisor = new Supervisor({
    settings: { worker: "test", handlersFolder: folder, modelsFolder: folder, cacheFolder: folder, log },
    log: pino(log),
    restartMaxMs: 500,
    stoppedMaxMs: 60_000,
    fork: start ?? (() => fork(entry, { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] })),
  });
  write = writeFile(entry, script);
  return supervisor;
}

let write: Promise<void>;

async function reaches(one: Supervisor, state: ProcessState): Promise<void> {
  while (one.state !== state) await once(one, "state");
}

async function started(script: string): Promise<Supervisor> {
  const one = supervise(script);
  await write;
  one.start();
  return one;
}

it("accepts a task while the process boots, and reports when it is ready", async () => {
  const one = await started(ready + obeys);
  expect(one).toMatchObject({ state: "starting", acceptsTask: true, pid: expect.any(Number) });
  await reaches(one, "ready");
  expect(one.acceptsTask).toBe(true);
  await one.stop(5000);
  expect(one).toMatchObject({ state: "stopped", acceptsTask: false, pid: null });
});

it("kills a process that does not end on request", async () => {
  const one = await started(`${ready} setInterval(() => undefined, 1000); process.on("message", () => undefined);`);
  await reaches(one, "ready");
  const exit = once(one, "exit");
  await one.stop(20);
  expect(await exit).toMatchObject([{ signal: "SIGKILL", wasReady: true, restartInMs: null }]);
  expect(one.state).toBe("stopped");
});

it("waits after a process that ended by itself, and starts another", async () => {
  const one = await started(
    `${ready} process.once("message", () => { console.error("last words"); process.exit(3); });`,
  );
  await reaches(one, "ready");
  const exit = once(one, "exit");
  one.send({ kind: "stop" });
  expect(await exit).toMatchObject([{ exitCode: 3, lastOutput: "last words", wasReady: true, restartInMs: 500 }]);
  expect(one).toMatchObject({ state: "waiting", acceptsTask: false });
  await reaches(one, "ready");
});

it("gives no task to a process whose start failed until it is ready", async () => {
  const error = '{ code: "HANDLER_INVALID", message: "no paint" }';
  const one = await started(`process.send({ kind: "unusable", error: ${error} }, () => process.exit(1));`);
  expect(await once(one, "exit")).toMatchObject([{ wasReady: false, exitCode: 1 }]);
  expect(one.startError).toEqual({ code: "HANDLER_INVALID", message: "no paint" });
  await writeFile(join(folder, "child.mjs"), ready + obeys);
  await reaches(one, "starting");
  expect(one.acceptsTask).toBe(false);
  await reaches(one, "ready");
  expect(one).toMatchObject({ startError: null, acceptsTask: true });
});

it("tries again when the system has no process to give", async () => {
  const one = supervise("", () => {
    throw new Error("EAGAIN");
  });
  const exit = once(one, "exit");
  one.start();
  expect(await exit).toMatchObject([{ wasReady: false, restartInMs: 500 }]);
  expect(one).toMatchObject({ state: "waiting", pid: null });
});

it("restarts as soon as its task has ended, unless it is stopped for good meanwhile", async () => {
  const one = await started(ready + obeys);
  await reaches(one, "ready");
  const { pid } = one;
  const idle = Promise.withResolvers<void>();
  const restarted = one.restart(idle.promise);
  expect(one).toMatchObject({ isRestarting: true, acceptsTask: false, pid });
  idle.resolve();
  await restarted;
  await reaches(one, "ready");
  expect(one.pid).not.toBe(pid);
  const second = one.restart(Promise.resolve());
  await one.stop(1000);
  await second;
  expect(one).toMatchObject({ state: "stopped", pid: null });
});

it("hands on what is not understood", async () => {
  const one = await started(`${ready} process.send({ kind: "attempt", key: 7 }); ${obeys}`);
  expect(await once(one, "unreadable")).toEqual([{ kind: "attempt", key: 7 }]);
});
