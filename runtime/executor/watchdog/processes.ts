import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";

/*
 * An executor is a session and a process group of its own, and everything that it starts inherits a mark in its
 * environment. So what a handler has spawned is found also when it left the group (`detached`) and lost its parent.
 * The group is everywhere but on Windows; the rest is read from Linux's /proc, and elsewhere nothing is found there.
 */
export interface Owned {
  /** The executor's process, which leads its group. */
  readonly pid: number;
  /** Value of {@link markVariable} in its environment. */
  readonly mark: string;
}

export const markVariable = "OURVIDZ_EXECUTOR";

/** SIGKILL to the group; false when it has no process any more, or the system has no groups. */
export function killGroup(pid: number): boolean {
  return kill(-pid);
}

/** A process that is being made while the others are killed is found by the next look. */
const killLooks = 100;
const killEveryMs = 20;

/** SIGKILL to everything that is the executor's but for `spared`, until nothing is left. Resolves with how many there were. */
export async function killRest(owned: Owned, spared?: number): Promise<number> {
  const killed = new Set<number>();
  for (let looks = 0; looks < killLooks; looks++) {
    if (spared === undefined) killGroup(owned.pid);
    const found = ownedProcesses(owned).filter((pid) => pid !== spared);
    for (const pid of found) {
      killed.add(pid);
      kill(pid);
    }
    if (found.length === 0) break;
    await pause(killEveryMs);
  }
  return killed.size;
}

/** The processes that are the executor's: itself, its session, those that it started, those with its mark. No zombies. */
export function ownedProcesses({ pid: leader, mark }: Owned): number[] {
  const all = processes();
  const owned = new Set(all.filter(({ pid, session }) => pid === leader || session === leader).map(({ pid }) => pid));
  const setting = `${markVariable}=${mark}`;
  for (const { pid } of all) if (!owned.has(pid) && environmentOf(pid).includes(setting)) owned.add(pid);
  for (let before = -1; before !== owned.size; ) {
    before = owned.size;
    for (const { pid, parent } of all) if (owned.has(parent)) owned.add(pid);
  }
  return [...owned];
}

/** Whether this process has any child, by a look that costs a fraction of a millisecond. */
export function hasChildren(): boolean {
  try {
    return readdirSync("/proc/self/task").some((task) => readText(`/proc/self/task/${task}/children`).trim() !== "");
  } catch {
    return false;
  }
}

/** True when the process was stopped as SIGSTOP does it; a process that a debugger looks at is not. */
export function isStopped(pid: number): boolean {
  return readStat(pid)?.state === "T";
}

interface ProcessEntry {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly session: number;
}

function processes(): ProcessEntry[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => readStat(Number(name)))
      .filter((entry) => entry !== null)
      .filter(({ state }) => state !== "Z" && state !== "X");
  } catch {
    return [];
  }
}

/** proc(5): `pid (name) state ppid pgrp session …`; the name may hold blanks and parentheses. Null when it is gone. */
function readStat(pid: number): ProcessEntry | null {
  const text = readText(`/proc/${pid}/stat`);
  const [state, parent, , session] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (state === undefined || session === undefined) return null;
  return { pid, state, parent: Number(parent), session: Number(session) };
}

/** Empty for a process of another user, and for one that is gone. */
function environmentOf(pid: number): readonly string[] {
  return readText(`/proc/${pid}/environ`).split("\0");
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}
