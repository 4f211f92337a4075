import { readdir, readFile } from "node:fs/promises";

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
  const children = await childrenOf(pid);
  const lines = await Promise.all(children.map(commandLine));
  return children.filter((_, index) => lines[index]?.includes(script));
}

/** The processes whose command line names the text, wherever they hang. What has ended and is not collected yet has none. */
export async function processesNaming(text: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const lines = await Promise.all(pids.map(commandLine));
  return pids.filter((_, index) => lines[index]?.includes(text));
}

async function commandLine(pid: number): Promise<string> {
  return await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
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
