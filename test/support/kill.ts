import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import process from "node:process";

const dependents = new Map<ChildProcess, NodeJS.Signals>();
let isHooked = false;

/**
 * Ends a child with this process, when a test that failed has not. Vitest ends its workers by SIGTERM, after which no "exit"
 * comes, and waits for whoever has their output.
 */
export function endWithThisProcess(child: ChildProcess, signal: NodeJS.Signals): void {
  dependents.set(child, signal);
  child.once("exit", () => dependents.delete(child));
  if (isHooked) return;
  isHooked = true;
  process.once("exit", endDependents);
  process.once("SIGTERM", () => {
    endDependents();
    process.kill(process.pid, "SIGTERM");
  });
}

function endDependents(): void {
  for (const [child, signal] of dependents) child.kill(signal);
}

/** The child processes of a process, from the kernel's own list. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.trim().split(/\s+/).filter(Boolean).map(Number);
}

/** The executors of a container; a container has another child too, its watchdog. */
export async function executorsOf(pid: number): Promise<number[]> {
  return await childrenThatRun(pid, "executor/child/child.ts");
}

export async function watchdogOf(pid: number): Promise<number | undefined> {
  return (await childrenThatRun(pid, "executor/watchdog/watchdog.ts"))[0];
}

async function childrenThatRun(pid: number, script: string): Promise<number[]> {
  return (await childrenOf(pid)).filter((child) => commandLine(child).includes(script));
}

/** The processes whose command line names the text, wherever they hang. What has ended and is not collected yet has none. */
export async function processesNaming(text: string): Promise<number[]> {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => commandLine(pid).includes(text));
}

/** The kernel answers at once, and a test that waits for an end asks for hundreds of processes every 50 ms: promises cost ten times that. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** SIGKILL; false when the process was gone already. */
export function killNow(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

/** Whether there is such a process; one that has ended and is not collected yet is gone. */
export async function isThere(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return state !== "" && !/\) [ZX] /.test(state);
}
