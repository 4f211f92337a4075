import { type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { probeFolder } from "#runtime/check/probe-folder.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import type { PlannedJob } from "../job/build-job.ts";
import type { RunEnd } from "./run-outcome.ts";

/*
 * A container waits for better times for as long as it takes: a full disk is cleaned up some day, a broken driver is
 * repaired. A person at a terminal wants to know. Every second this looks whether the job can still come to an end:
 *
 *   offer         this container cannot run the job, and no other one takes from its queue
 *   executor      it reports that it cannot start, or died several times before the job began
 *   delivery      the result has been on disk for a while and does not get through
 *   settlement    the attempt is over, nothing is left to deliver, and the job still counts as running
 *
 * A job that was settled without a word is found as well: one that was cancelled in the very moment in which its
 * attempt failed goes from the retry straight to its end.
 */
const lookMs = 1000;
const maxUndeliveredLooks = 10;
const maxUnsettledLooks = 3;
const startsBeforeGivingUp = 3;

/** Calls `onEnd` with how a job ends that does not move any more, or with "settled"; returns the way to stop looking. */
export function watchForStandstill(
  runtime: Runtime,
  planned: PlannedJob,
  onEnd: (end: RunEnd | "settled") => void,
): () => void {
  const standstill = new Standstill(runtime, planned);
  const timer = setInterval(() => {
    void standstill.look().then(
      (end) => end !== null && onEnd(end),
      (error: unknown) => onEnd({ status: "undelivered", error: toErrorReport(error) }),
    );
  }, lookMs);
  return () => clearInterval(timer);
}

class Standstill {
  readonly #runtime: Runtime;
  readonly #planned: PlannedJob;
  #undeliveredLooks = 0;
  #unsettledLooks = 0;

  constructor(runtime: Runtime, planned: PlannedJob) {
    this.#runtime = runtime;
    this.#planned = planned;
  }

  async look(): Promise<RunEnd | "settled" | null> {
    const startError = this.#startError();
    if (startError !== null) return { status: "failed", error: startError };
    const status = (await this.#runtime.queue.get(this.#planned.job.id))?.status ?? "queued";
    if (isSettled(status)) return "settled";
    const obstacle = status === "queued" ? this.#runtime.offers.obstacleTo(this.#planned.job) : null;
    if (obstacle !== null) return { status: "failed", error: obstacle };
    const pending = this.#runtime.delivery.pending > 0;
    const stuck = !pending && status === "running" && this.#runtime.dispatcher.activeJobs === 0;
    this.#undeliveredLooks = pending ? this.#undeliveredLooks + 1 : 0;
    this.#unsettledLooks = stuck ? this.#unsettledLooks + 1 : 0;
    if (this.#undeliveredLooks <= maxUndeliveredLooks && this.#unsettledLooks <= maxUnsettledLooks) return null;
    return { status: "undelivered", error: await this.#reason() };
  }

  #startError(): ErrorReport | null {
    const executor = this.#runtime.executors.get(this.#planned.handler.worker);
    if (executor === undefined) return null;
    const { state, startError, restarts } = executor.status;
    if (state !== "waiting") return null;
    if (startError !== null) return startError;
    const began = this.#runtime.events.replay(this.#planned.job.id).length > 0;
    if (began || restarts < startsBeforeGivingUp) return null;
    const message = `The executor of the worker ${executor.worker} dies whenever it starts: --verbose shows its last words.`;
    return { code: "EXECUTOR_CRASHED", message };
  }

  /** The runtime has only logged why; a full disk, the usual reason, is found by trying to write. */
  async #reason(): Promise<ErrorReport> {
    const { dataFolder } = this.#runtime.config;
    const written = await probeFolder(dataFolder).catch((error: unknown) => error);
    if (written instanceof Error && "code" in written && (written.code === "ENOSPC" || written.code === "EDQUOT")) {
      return {
        code: "DISK_FULL",
        message: `The disk of ${dataFolder} is full: free some space, or name another place with --data.`,
      };
    }
    return { code: "INTERNAL", message: "The result could not be recorded: --verbose shows why." };
  }
}
