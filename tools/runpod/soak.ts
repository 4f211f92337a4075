import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { executorsOf, killNow } from "#test/support/kill.ts";
import { startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { HostilePlatform, type PlatformJob } from "./hostile-platform.ts";

/*
 * Containers of an endpoint at a platform on a bad day, while they are killed, stopped, frozen and started again: every job
 * comes to one end, the same for its client and its app, nothing follows it, and no text has a hole.
 *
 * Without faults (0) nothing is killed either, and the memory of a container is shown.
 */
const usage = `node tools/runpod/soak.ts [seconds] [seed] [containers] [faults]

  seconds     how long jobs are submitted, 60 by default; up to two minutes more for the last ones
  seed        a whole number: which jobs and troubles there are; by default another one each time
  containers  how many, 2 by default
  faults      the share of calls that go wrong, 0 to 1, 0.1 by default; 0: nothing is killed either, and memory is shown

It ends with 0 when every job came to its one end, else with 1.
`;
const [seconds, seed, containers, faults] = readArguments(process.argv.slice(2));
const isCalm = faults === 0;
const silentMs = 10_000;
const drainMs = 120_000;
const words = 20;
const cli = fileURLToPath(new URL("../../cli/ourvidz.js", import.meta.url));
const handlers = fileURLToPath(new URL("../../test/support/handlers", import.meta.url));

let state = seed + 1;
const random = () => {
  state = (state * 16_807) % 2_147_483_647;
  return state / 2_147_483_647;
};

const options = { random, silentMs, faults };
const platform = new HostilePlatform(options);
const url = await platform.listen();
const app = await startCallbackServer();
const counts = { killed: 0, stopped: 0, frozen: 0, executorsKilled: 0, started: 0, badExits: 0 };

function inputOf(index: number): Record<string, unknown> {
  const input = { id: `app-${index}`, steps: words, step_ms: Math.floor(random() * 30), speaks: random() < 0.6 };
  const kind = random();
  if (isCalm) return { ...input, step_ms: 0, ...(kind < 0.05 ? { asset_bytes: 5_000_000 } : {}) };
  if (kind < 0.1) return { ...input, fail_until_attempt: 1, failure: "kill" };
  if (kind < 0.2) return { ...input, fail_until_attempt: 1 };
  if (kind < 0.25) return { ...input, fail_until_attempt: 9, failure: "permanent" };
  if (kind < 0.3) return { ...input, asset_bytes: 9_000_000 };
  return input;
}

/** Ends the process for --help, with 0, and for what is no argument, with 2. */
function readArguments(given: readonly string[]): [number, number, number, number] {
  if (given.includes("--help") || given.includes("-h")) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const [length = 60, start = Date.now() % 1_000_000, count = 2, share = 0.1, ...others] = given.map(Number);
  const isRight =
    others.length === 0 &&
    given.every((word) => word.trim() !== "") &&
    length > 0 &&
    Number.isFinite(length) &&
    [start, count].every((value) => Number.isSafeInteger(value) && value >= 0) &&
    count > 0 &&
    share >= 0 &&
    share <= 1;
  if (isRight) return [length, start, count, share];
  process.stderr.write(`Not understood: ${given.join(" ")}\n\n${usage}`);
  process.exit(2);
}

class Container {
  readonly #name: string;
  readonly #folder: string;
  #child: ReturnType<typeof spawn> | null = null;
  #isExpected = false;
  log = "";

  constructor(name: string, folder: string) {
    this.#name = name;
    this.#folder = folder;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  start(): void {
    const at = (operation: string) => `${url}/${operation}/$RUNPOD_POD_ID`;
    counts.started++;
    const child = spawn(process.execPath, [cli, "start"], {
      env: {
        // biome-ignore lint/style/noProcessEnv: handed on, nothing is read from it
        PATH: process.env.PATH,
        PORT: "0",
        LOG_LEVEL: "warn",
        DATA_DIR: this.#folder,
        HANDLERS_DIR: handlers,
        EXECUTOR_RESTART_MAX_SECONDS: "0.5",
        SHUTDOWN_GRACE_SECONDS: "1",
        ABORT_GRACE_SECONDS: "1",
        RUNPOD_WEBHOOK_GET_JOB: at("job-take"),
        RUNPOD_WEBHOOK_POST_OUTPUT: `${at("job-done")}/$ID`,
        RUNPOD_WEBHOOK_POST_STREAM: `${at("job-stream")}/$ID`,
        RUNPOD_WEBHOOK_PING: at("ping"),
        RUNPOD_PING_INTERVAL: "1000",
        RUNPOD_POD_ID: this.#name,
        RUNPOD_AI_API_KEY: "raw-key",
        RUNPOD_JOB_TYPE: "noop",
        RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
        CALLBACK_URL: app.url,
        JOB_CALLBACK_SECRET: app.secret,
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.on("data", (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-50_000);
    });
    child.once("exit", (code, signal) => {
      if (!this.#isExpected)
        platform.wrongs.push(`${this.#name} ended by itself: ${code} ${signal} ${this.log.slice(-3000)}`);
      if (!this.#isExpected) this.start();
    });
    this.#isExpected = false;
    this.#child = child;
  }

  /** Whatever state it is in, it is started again. */
  async restart(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return this.start();
    const exited = once(child, "exit");
    this.#isExpected = true;
    child.kill(signal);
    const [code] = await exited;
    if (signal === "SIGKILL") platform.killed(this.#name);
    if (signal === "SIGTERM" && code !== 0) counts.badExits++;
    this.start();
  }

  async stop(): Promise<void> {
    if (this.#child === null || this.#child.exitCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#isExpected = true;
    this.#child.kill("SIGTERM");
    await exited;
  }

  async memoryMb(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, "utf8").catch(() => "");
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }

  async trouble(): Promise<void> {
    const kind = Math.floor(random() * 4);
    if (kind === 0) {
      counts.killed++;
      await this.restart("SIGKILL");
    } else if (kind === 1) {
      counts.stopped++;
      await this.restart("SIGTERM");
    } else if (kind === 2) {
      counts.frozen++;
      this.#child?.kill("SIGSTOP");
      await pause(random() * 4000);
      this.#child?.kill("SIGCONT");
    } else {
      const executor = (await executorsOf(this.pid))[0];
      if (executor !== undefined && killNow(executor)) counts.executorsKilled++;
    }
  }
}

const folder = await mkdtemp(join(tmpdir(), "ourvidz-soak-"));
const all = Array.from({ length: containers }, (_, index) => new Container(`pod-${index}`, join(folder, `${index}`)));
for (const one of all) one.start();

let jobs = 0;
let shownAt = 100;
const untilMs = performance.now() + seconds * 1000;
let isOver = false;
const troubling = all.map(async (one) => {
  while (!isOver && !isCalm) {
    await pause(5000 + random() * 8000);
    if (!isOver) await one.trouble();
  }
});
while (performance.now() < untilMs) {
  while (platform.open.length < containers + 2) {
    platform.add(`job-${jobs}-u1`, inputOf(jobs));
    jobs++;
  }
  const held = platform.open.filter((job) => job.state === "held");
  if (!isCalm && random() < 0.005) platform.stop(held[Math.floor(random() * held.length)]?.id ?? "");
  if (isCalm && jobs >= shownAt) {
    process.stdout.write(`${jobs} jobs: ${await all[0]?.memoryMb()} MB\n`);
    shownAt += 100;
  }
  await pause(isCalm ? 10 : 100);
}
isOver = true;
options.faults = 0;
await Promise.all(troubling);
const drainedByMs = performance.now() + drainMs;
while (platform.open.length > 0 && performance.now() < drainedByMs) await pause(200);
for (const one of all) await one.stop();
check();
process.stdout.write(`${JSON.stringify({ seed, jobs, ...counts, ...platform.counts })}\n`);
for (const wrong of platform.wrongs) process.stdout.write(`wrong: ${wrong}\n`);
const wrongs = platform.wrongs.length;
if (wrongs > 0) for (const one of all) process.stdout.write(`${one.log.slice(-20_000)}\n`);
process.stdout.write(
  wrongs === 0
    ? `${jobs} jobs, nothing wrong: each came to its one end, the same for its client and its app.\n`
    : `${jobs} jobs, ${wrongs} wrong ${wrongs === 1 ? "thing" : "things"}: see above, before the logs of the containers.\n`,
);
platform.close();
await app.close();
await rm(folder, { recursive: true, force: true });
process.exit(wrongs > 0 ? 1 : 0);

function check(): void {
  const finals = Map.groupBy(
    [...app.known.values()].filter(({ status }) => status !== "processing"),
    ({ job_id }) => job_id,
  );
  for (const job of platform.jobs.values()) {
    const heard = (finals.get(String(job.input.id)) ?? []).map(({ status }) => status);
    platform.wrongs.push(...endProblems(job, heard), ...textProblems(job));
  }
}

function becameOf({ isStopped, end }: PlatformJob): "stopped" | "open" | "failed" | "completed" {
  if (isStopped) return "stopped";
  if (end === null) return "open";
  return "error" in end ? "failed" : "completed";
}

/** @param heard ends that the app was notified of */
function endProblems(job: PlatformJob, heard: readonly string[]): string[] {
  const became = becameOf(job);
  const says = `${job.id} (takes ${job.takes}) is ${became}, its app heard ${JSON.stringify(heard)}`;
  if (became === "open") return [`${says}: never ended`];
  if (became === "stopped" && job.isOrphaned) return [];
  if (heard.length !== 1) return [says];
  return became === "stopped" || heard[0] === became ? [] : [`${says}: ${JSON.stringify(job.end).slice(0, 300)}`];
}

function textProblems(job: PlatformJob): string[] {
  if (becameOf(job) !== "completed" || job.input.speaks !== true) return [];
  const whole = Array.from({ length: words }, (_, index) => `lake ${index + 1}\n`).join("");
  const isWhole = JSON.stringify(job.end).includes(JSON.stringify(whole).slice(1, -1));
  return [
    ...(isWhole ? [] : [`${job.id}: its text is not whole`]),
    ...(whole.startsWith(job.chunks.join("")) ? [] : [`${job.id}: streamed ${JSON.stringify(job.chunks)}`]),
  ];
}
