import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { hasChildren, isStopped, killGroup, killRest, markVariable, ownedProcesses } from "./processes.ts";

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
  expect(hasChildren()).toBe(true);
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
