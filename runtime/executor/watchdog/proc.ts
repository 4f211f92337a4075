import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/*
 * What Linux's /proc knows of processes. Elsewhere there is none, and nothing is found. Synchronous: it is read from memory.
 */
export interface ProcessEntry {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  /** Page faults of its children that have ended: it grows with each of them. */
  readonly childFaults: number;
  /** When it started, in ticks since the machine did: with the pid it names one process for ever. */
  readonly startTicks: number;
}

/** All processes that this one can see, but for zombies. */
export function processes(): ProcessEntry[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => readStat(name))
      .filter((entry) => entry !== null)
      .filter(isAlive);
  } catch {
    return [];
  }
}

export function isAlive({ state }: Pick<ProcessEntry, "state">): boolean {
  return state !== "Z" && state !== "X";
}

/** proc(5): `pid (name) state ppid pgrp session …`; the name may hold blanks and parentheses. Null when it is gone. */
export function readStat(pid: number | string): ProcessEntry | null {
  const text = readText(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent, , session] = fields;
  if (state === undefined || session === undefined) return null;
  const [childFaults, startTicks] = [Number(fields[8]), Number(fields[19])];
  return {
    pid: Number.parseInt(text, 10),
    state,
    parent: Number(parent),
    session: Number(session),
    childFaults,
    startTicks,
  };
}

/** False for a thread, which has a number and a folder too, and is not listed. */
export function isProcess(pid: number): boolean {
  return Number(/^Tgid:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1]) === pid;
}

/** The number of the process or thread that was made last, in this one's namespace; null without /proc. */
export function newestPid(): number | null {
  const [, pid] = /(\d+)\s*$/.exec(readText("/proc/loadavg")) ?? [];
  return pid === undefined ? null : Number(pid);
}

/** Of this process. */
export function threads(): readonly string[] {
  try {
    return readdirSync("/proc/self/task");
  } catch {
    return [];
  }
}

/** Empty for a process of another user, and for one that is gone. */
export function environmentOf(pid: number): readonly string[] {
  return readText(`/proc/${pid}/environ`).split("\0");
}

/** The soft limit of file locks, in digits; null when there is none. */
export function lockLimitOf(pid: number): string | null {
  return /^Max file locks\s+(\d+)/m.exec(readText(`/proc/${pid}/limits`))?.[1] ?? null;
}

/** Pids mean something within one start of the machine and one namespace. Null without /proc. */
export function pidSpace(): { readonly boot: string; readonly namespace: string } | null {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return { boot, namespace: readlinkSync("/proc/self/ns/pid") };
  } catch {
    return null;
  }
}

export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
