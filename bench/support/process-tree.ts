import { readdirSync, readFileSync } from "node:fs";

export interface ProcessUse {
  readonly pid: number;
  /** User and system time so far. */
  readonly cpuMs: number;
}

/** Of Linux, where the kernel counts in hundredths of a second for whoever asks here. */
const tickMs = 10;

/** A process and all that descend from it, from the kernel. */
export function processTree(root: number): readonly ProcessUse[] {
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? readProcess(Number(name)) : []));
  const of = (pid: number): ProcessUse[] =>
    all.filter(({ parent }) => parent === pid).flatMap((one) => [one, ...of(one.pid)]);
  return [...all.filter(({ pid }) => pid === root), ...of(root)];
}

function readProcess(pid: number) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before it may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [parent, user, system] = [1, 11, 12].map((index) => Number(fields[index]));
    return [{ pid, parent, cpuMs: ((user ?? 0) + (system ?? 0)) * tickMs }];
  } catch {
    // Gone meanwhile.
    return [];
  }
}
