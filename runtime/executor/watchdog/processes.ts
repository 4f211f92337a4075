import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import {
  environmentOf,
  isAlive,
  isProcess,
  lockLimitOf,
  newestPid,
  processes,
  readStat,
  readText,
  threads,
} from "./proc.ts";

/*
 * An executor is a session and a process group of its own, and bears a mark, which everything that it starts inherits, in two
 * places: its environment, and its soft limit of file locks. That limit means nothing to Linux since 2.4, and nothing but
 * a deliberate setrlimit changes it. So what a handler has spawned is found also when it left the group (`detached`),
 * lost its parent and was given another environment (`env -i setsid`).
 * The group is everywhere but on Windows; the rest is read from Linux's /proc, and elsewhere nothing is found there.
 */
export interface Owned {
  /** The executor's process, which leads its group. */
  readonly pid: number;
  /** A whole number in digits. */
  readonly mark: string;
}

/** Holds the mark in the environment. */
export const markVariable = "OURVIDZ_EXECUTOR";

/** SIGKILL to the group; false when it has no process any more, or the system has no groups. */
export function killGroup(pid: number): boolean {
  return kill(-pid);
}

/** A process that is being made while the others are killed is found by the next look. */
const maxLooks = 200;
const pauseMs = { afterKills: 20, afterNothing: 5 };
/**
 * A listing of /proc is not one moment: a chain of processes, each of which starts the next and ends, slips through most of
 * them. So each look also goes after the newest processes for a while, and nothing is gone before so many looks in a row
 * have found nothing.
 */
const emptyLooks = 4;
const chaseMs = 3;
/** The numbers begin anew at some time, and others start processes too. */
const maxChased = 256;

/**
 * SIGKILL to everything that is the executor's but for `spared`, until nothing is left. Resolves with how many there were.
 *
 * @param isUnlikely there is probably nothing: a first look that finds nothing is enough
 */
export async function killRest(owned: Owned, spared?: number, isUnlikely = false): Promise<number> {
  const find = () => {
    if (spared === undefined) killGroup(owned.pid);
    return ownedProcesses(owned).filter((pid) => pid !== spared);
  };
  return await killUntilGone(find, (mark) => mark === owned.mark, spared, isUnlikely);
}

/** SIGKILL to every process whose mark is one of these, until none is left. Resolves with how many there were. */
export async function killMarked(isMeant: (mark: string) => boolean): Promise<number> {
  const find = () =>
    processes()
      .map(({ pid }) => pid)
      .filter((pid) => pid !== process.pid && marksOf(pid).some(isMeant));
  return await killUntilGone(find, isMeant, process.pid);
}

/** As {@link killRest} with a single look, for a process that is about to exit. */
export function killRestNow(owned: Owned): void {
  killGroup(owned.pid);
  for (const pid of ownedProcesses(owned)) kill(pid);
}

async function killUntilGone(
  find: () => readonly number[],
  isMeant: (mark: string) => boolean,
  spared?: number,
  isUnlikely = false,
): Promise<number> {
  const killed = new Set<number>();
  for (let [looks, empty] = [0, 0]; looks < maxLooks && empty < emptyLooks; looks++) {
    if (looks > 0) await pause(empty > 0 ? pauseMs.afterNothing : pauseMs.afterKills);
    const newest = newestPid();
    const found = find();
    for (const pid of found) kill(pid);
    const chased = newest === null ? [] : chase(newest, (pid) => pid !== spared && marksOf(pid).some(isMeant));
    for (const pid of [...found, ...chased]) killed.add(pid);
    empty = found.length + chased.length === 0 ? empty + 1 : 0;
    if (isUnlikely && killed.size === 0) break;
  }
  return killed.size;
}

/** SIGKILL to those that are meant of the processes that were made since, each at once: it may live for a millisecond. */
function chase(since: number, isMeant: (pid: number) => boolean): number[] {
  const killed: number[] = [];
  const endMs = performance.now() + chaseMs;
  for (let seen = since; performance.now() < endMs; ) {
    const newest = newestPid() ?? seen;
    // Again from the one that was the newest: it may have got its mark, or its number, just then.
    for (let pid = Math.max(1, newest - maxChased, Math.min(seen, newest)); pid <= newest; pid++) {
      // A signal to a thread is one to its process, which may be the one that is spared.
      if (isMeant(pid) && isProcess(pid) && kill(pid)) killed.push(pid);
    }
    seen = newest;
  }
  return killed;
}

/** The processes that are the executor's: itself, its session, those that it started, those with its mark. No zombies. */
export function ownedProcesses({ pid: leader, mark }: Owned): number[] {
  const all = processes();
  const owned = new Set(all.filter(({ pid, session }) => pid === leader || session === leader).map(({ pid }) => pid));
  for (const { pid } of all) if (!owned.has(pid) && marksOf(pid).includes(mark)) owned.add(pid);
  for (let before = -1; before !== owned.size; ) {
    before = owned.size;
    for (const { pid, parent } of all) if (owned.has(parent)) owned.add(pid);
  }
  return [...owned];
}

function marksOf(pid: number): readonly string[] {
  const [name, limit] = [`${markVariable}=`, lockLimitOf(pid)];
  const inEnvironment = environmentOf(pid).filter((setting) => setting.startsWith(name));
  return [...inEnvironment.map((setting) => setting.slice(name.length)), ...(limit === null ? [] : [limit])];
}

/**
 * Tells whether this process may have started another one since the last call, by two looks that cost a fraction of a
 * millisecond: it has a child, or one of its children has ended.
 */
export class SpawnWatch {
  #childFaults = readStat("self")?.childFaults ?? 0;

  hasSpawned(): boolean {
    const before = this.#childFaults;
    this.#childFaults = readStat("self")?.childFaults ?? 0;
    return this.#childFaults !== before || hasChildren();
  }
}

/** Each thread has its own. */
function hasChildren(): boolean {
  return threads().some((thread) => readText(`/proc/self/task/${thread}/children`).trim() !== "");
}

/** True when the process was stopped as SIGSTOP does it; a process that a debugger looks at is not. */
export function isStopped(pid: number): boolean {
  return readStat(pid)?.state === "T";
}

/** Whether the process that started then is still there. */
export function isRunning({ pid, startTicks }: { readonly pid: number; readonly startTicks: number }): boolean {
  const entry = readStat(pid);
  return entry !== null && isAlive(entry) && entry.startTicks === startTicks;
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}
