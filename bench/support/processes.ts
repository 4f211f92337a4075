import { readdirSync, readFileSync } from "node:fs";

/** A process as Linux tells of it (proc(5)). */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** Linux counts processor time in ticks of a hundredth of a second, whatever the kernel's own clock. */
const tickMs = 10;

/** The process and all that came of it. */
export function processTree(root: number): ProcessInfo[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)));
  const found = all.filter(({ pid }) => pid === root);
  // The list grows while it is walked through.
  for (const { pid } of found) found.push(...all.filter(({ parent }) => parent === pid));
  return found;
}

/** User and system time so far; 0 when the process is gone. */
export function cpuMs(pid: number): number {
  const [, , , , , , , , , , , user, system] = statOf(pid);
  return (Number(user ?? 0) + Number(system ?? 0)) * tickMs;
}

function readProcess(pid: number): ProcessInfo[] {
  const [, parent] = statOf(pid);
  return parent === undefined
    ? []
    : [{ pid, parent: Number(parent), command: read(pid, "cmdline").replaceAll("\0", " ") }];
}

/** The fields after the command's name, which is in brackets and may hold anything: state, parent, … */
function statOf(pid: number): string[] {
  const text = read(pid, "stat");
  return text === "" ? [] : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
