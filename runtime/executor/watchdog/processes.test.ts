import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { readStat } from "./proc.ts";
import {
  isRunning,
  isStopped,
  killGroup,
  killMarked,
  killRest,
  markVariable,
  ownedProcesses,
  SpawnWatch,
} from "./processes.ts";

/** A shell that leads a group, with one program that it runs. */
async function family(mark: string): Promise<number> {
  const child = spawn("sh", ["-c", "sleep 300; true"], {
    detached: true,
    stdio: "ignore",
    env: { PATH: process.env.PATH, [markVariable]: mark },
  });
  await once(child, "spawn");
  const pid = child.pid ?? 0;
  onTestFinished(() => void killGroup(pid));
  await expect.poll(() => ownedProcesses({ pid, mark })).toHaveLength(2);
  return pid;
}

it("finds the leader and what it has started, and nobody else's", async () => {
  const [one, other] = [await family("one"), await family("other")];
  const found = ownedProcesses({ pid: one, mark: "one" });
  expect(found).toContain(one);
  expect(found).not.toContain(other);
  expect(ownedProcesses({ pid: one, mark: "other" })).toHaveLength(4);
});

it("kills until nothing is left, and spares whom it is told to", async () => {
  const pid = await family("spared");
  expect(await killRest({ pid, mark: "spared" }, pid)).toBe(1);
  // The shell goes on to its end when its program has died: by then there may be nobody left.
  expect(await killRest({ pid, mark: "spared" })).toBeLessThanOrEqual(1);
  expect(ownedProcesses({ pid, mark: "spared" })).toEqual([]);
  expect(killGroup(pid)).toBe(false);
});

it("sees that a process is stopped", async () => {
  const pid = await family("stopped");
  expect(isStopped(pid)).toBe(false);
  process.kill(pid, "SIGSTOP");
  await expect.poll(() => isStopped(pid)).toBe(true);
  process.kill(pid, "SIGCONT");
  await expect.poll(() => isStopped(pid)).toBe(false);
});

it("finds by the limit of file locks what has left its session, its parents and its environment", async () => {
  const mark = String(2 ** 45 + 1);
  const limited = `ulimit -S -w ${mark}; (env -i PATH="$PATH" setsid sleep 300 &)`;
  await once(spawn("sh", ["-c", limited], { stdio: "ignore" }), "exit");
  onTestFinished(() => void killMarked((found) => found === mark));
  const nobody = 2 ** 22;
  await expect.poll(() => ownedProcesses({ pid: nobody, mark })).toHaveLength(1);
  expect(ownedProcesses({ pid: nobody, mark: String(2 ** 45 + 2) })).toEqual([]);
  expect(await killMarked((found) => found === mark)).toBe(1);
  expect(ownedProcesses({ pid: nobody, mark })).toEqual([]);
});

it("kills a chain of processes, each of which starts the next and ends, and changes its session", async () => {
  // It rests now and then: a quick machine has no time to look at the rest of them.
  const step =
    "fork and POSIX::_exit(0); POSIX::setsid() if $hops++ % 2; select(undef, undef, undef, 0.005) if $hops % 50 == 0";
  const hop = `$end = time + 30; while (time < $end) { ${step} }`;
  for (const mark of [String(2 ** 45 + 11), String(2 ** 45 + 12), String(2 ** 45 + 13)]) {
    const limited = `ulimit -S -w ${mark}; (env -i PATH="$PATH" setsid perl -MPOSIX -e '${hop}' &)`;
    const isMeant = (found: string) => found === mark;
    await once(spawn("sh", ["-c", limited], { stdio: "ignore" }), "exit");
    onTestFinished(() => void killMarked(isMeant));
    // It must be hopping: a single look finds it in some of its forms.
    const seen = new Set<number>();
    const look = () => ownedProcesses({ pid: 2 ** 22, mark }).map((pid) => seen.add(pid).size);
    await expect.poll(() => look().length + seen.size, { timeout: 10_000, interval: 1 }).toBeGreaterThan(3);
    expect(await killRest({ pid: 2 ** 22, mark })).toBeGreaterThan(0);
    for (let looks = 0; looks < 20; looks++) expect(ownedProcesses({ pid: 2 ** 22, mark })).toEqual([]);
    expect(await killMarked(isMeant)).toBe(0);
  }
}, 60_000);

it("takes no thread for a process, and spares a process that starts threads meanwhile", async () => {
  const mark = String(2 ** 45 + 21);
  const threads = `
    const { Worker } = require("node:worker_threads");
    const next = () => new Worker("", { eval: true }).once("exit", next);
    next();`;
  const child = spawn(process.execPath, ["-e", threads], { stdio: "ignore", env: { [markVariable]: mark } });
  const exit = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  await once(child, "spawn");
  await expect.poll(() => ownedProcesses({ pid: 2 ** 22, mark })).toEqual([child.pid]);
  for (let looks = 0; looks < 20; looks++) expect(await killRest({ pid: 2 ** 22, mark }, child.pid)).toBe(0);
  expect(child.exitCode ?? child.signalCode).toBeNull();
}, 60_000);

it("sees that a process was started meanwhile, also when it has ended", async () => {
  const watch = new SpawnWatch();
  expect(watch.hasSpawned()).toBe(false);
  await once(spawn("true", { stdio: "ignore" }), "exit");
  expect(watch.hasSpawned()).toBe(true);
  expect(watch.hasSpawned()).toBe(false);
  await family("spawned");
  expect(watch.hasSpawned()).toBe(true);
});

it("does not take a process for the one that had its number before", () => {
  const own = readStat("self");
  if (own === null) throw new Error("there is no /proc");
  expect(isRunning(own)).toBe(true);
  expect(isRunning({ ...own, startTicks: own.startTicks - 1 })).toBe(false);
});
