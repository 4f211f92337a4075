import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { killNow, processesNaming } from "./support/kill.ts";
import { freePort } from "./support/machine.ts";
import { testHandlers } from "./support/runtime.ts";

/* Nobody reads what the container prints (Ctrl-S, a pager, a log collector that hangs), and it works on. */
const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));

let folder: string;
let embedded: Embedded;
let starter: ChildProcess;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-paused-"));
  embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
});

afterEach(async () => {
  for (const pid of await processesNaming(folder)) killNow(pid);
  if (starter.pid !== undefined) killNow(starter.pid);
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
});

/** `$0` is node, `$@` the command; sleep opens the pipe and never reads it. */
const pipe = 'exec "$0" "$@" 2>&1 >/dev/null | sleep 300';
/** A terminal whose other end nobody reads, as one that was stopped by Ctrl-S. */
const terminal = `
import os, pty, subprocess, sys, time
ours, theirs = pty.openpty()
subprocess.Popen(sys.argv[1:], stderr=theirs, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).wait()
`;

it.each([
  ["a pipe", "sh", ["-c", pipe]],
  ["a terminal", "python3", ["-c", terminal]],
] as const)("with %s that nobody reads", { timeout: 150_000 }, async (_what, command, args) => {
  const port = await freePort();
  const node = [process.execPath, cli, "start", "--port", String(port), "--data", folder];
  starter = spawn(command, [...args, ...node], {
    env: { PATH: process.env.PATH, HANDLERS_DIR: testHandlers, LOG_LEVEL: "trace", LEASE_SECONDS: "1" },
    stdio: "ignore",
  });
  // Far more lines than any pipe holds.
  for (let index = 0; index < 600; index++) {
    const job = jobEnvelope.parse({ id: `job-${index}`, type: "noop", prompt: "a quiet lake" });
    await embedded.source.enqueue(job, { worker: "test" });
  }
  const completed = async () => (await embedded.source.list({ limit: 1, status: "queued" })).jobs.length === 0;
  await expect.poll(completed, { timeout: 120_000, interval: 200 }).toBe(true);
  const startedAtMs = performance.now();
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  expect(performance.now() - startedAtMs).toBeLessThan(5000);
  // It ends in order too, although nobody reads its last words.
  const [pid] = (await processesNaming(`start\0--port\0${port}`)).filter((one) => one !== starter.pid).slice(-1);
  // 0 would be every process of this run.
  if (pid === undefined) expect.fail("the container has ended");
  process.kill(pid, "SIGTERM");
  await expect.poll(() => fetchFails(port), { timeout: 15_000, interval: 100 }).toBe(true);
});

async function fetchFails(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
