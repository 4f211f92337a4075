import process from "node:process";
import { isStopped, killMarked, killRest, type Owned } from "./processes.ts";

/*
 * Entry of a container's watchdog: a small process beside the container that sees to it that its executors, and whatever
 * these have started, do not outlive it. An executor cannot do that itself: its thread may be blocked in native code,
 * and it may be dead while its children live. It imports nothing but Node's own, so that it is up before the executors.
 *
 *   the container is gone (the channel to it has ended)           → everything is killed, and the watchdog ends
 *   an executor has ended, in whatever way                        → what it had started is killed, and the container is
 *                                                                   notified of it; it is looked for again at the end
 *   the container exits and does not come to it                   → it is killed: a thread of it hangs in a file operation,
 *                                                                   and the exit waits for its threads
 *   the container is stopped (SIGSTOP, Ctrl-Z) for too long       → everything is killed: its leases have run out, and
 *                                                                   who has the jobs by now may need the GPU's memory
 *   the container asks whether the watchdog is there              → it answers: else it is killed, and another one started
 */
interface Watched extends Owned {
  /** How long the container may be stopped until this executor is killed. */
  readonly stoppedMaxMs: number;
}

const watched = new Map<string, Watched>();
/** Of all executors that there were. */
const marks = new Set<string>();
/** Under way. */
const kills = new Set<Promise<unknown>>();
const container = process.ppid;
const lookEveryMs = 500;
/** How long the container's exit may take. */
const exitMaxMs = 2000;

// The signals that a terminal or a service manager sends to everybody are for the container.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
process.on("message", receive);
process.on("disconnect", () => {
  for (const one of watched.values()) void killAll(one);
  void Promise.all(kills)
    .then(() => killMarked((mark) => marks.has(mark)))
    .then(() => process.exit(0));
});

let stoppedSinceMs: number | null = null;
setInterval(() => {
  if (watched.size === 0 || !isStopped(container)) {
    stoppedSinceMs = null;
    return;
  }
  const nowMs = performance.now();
  stoppedSinceMs ??= nowMs;
  for (const one of watched.values()) if (nowMs - stoppedSinceMs >= one.stoppedMaxMs) void killAll(one);
}, lookEveryMs).unref();

/** From the container, which is the same code: `started` and `ended` with all fields of a watched one, `exiting` and `ping` with a pid. */
function receive(message: unknown): void {
  if (typeof message !== "object" || message === null || !("kind" in message && "pid" in message)) return;
  const { kind, pid } = message;
  if (typeof pid !== "number") return;
  if (kind === "ping") process.send?.({ pong: true }, undefined, undefined, () => undefined);
  if (kind === "exiting") setTimeout(() => killIfThere(container), exitMaxMs);
  if (!("mark" in message && "stoppedMaxMs" in message)) return;
  const one = { pid, mark: String(message.mark), stoppedMaxMs: Number(message.stoppedMaxMs) };
  marks.add(one.mark);
  if (kind === "started") watched.set(one.mark, one);
  if (kind !== "ended") return;
  watched.delete(one.mark);
  void killAll(one).then(() => process.send?.({ gone: one.mark }, undefined, undefined, () => undefined));
}

function killAll(owned: Owned): Promise<unknown> {
  const kill = killRest(owned).finally(() => kills.delete(kill));
  kills.add(kill);
  return kill;
}

/** It may have come to its end meanwhile. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // There is no such process any more, which is what was wanted.
  }
}
