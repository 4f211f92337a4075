import type { ErrorReport } from "#contract/errors.ts";
import type { ReleaseReason } from "#contract/release-reason.ts";
import {
  type ChangeKind,
  type JobResult,
  type JobSource,
  type JobUpdate,
  type LeaseKey,
  type Offer,
  type Renewal,
  type RenewalOutcome,
  type ResultFiles,
  type SettleOutcome,
  stoppedError,
  type Taken,
  type TakeRequest,
  type UnreportedEnd,
} from "../job-source.ts";
import { runpodIdOf } from "./held-jobs.ts";
import type { RunpodSourceOptions, Trouble } from "./options.ts";
import { buildOutput, wantsRefresh } from "./output.ts";
import { connectParts, type Parts } from "./parts.ts";
import { maxBodyBytes } from "./protocol/limits.ts";

/*
 * The jobs of a RunPod serverless endpoint. The platform hands a job out once and takes none back: its attempts, pauses and
 * the end of its lease are this process's own matter, and its result is the answer itself.
 */
export class RunpodSource implements JobSource {
  readonly name = "runpod";
  readonly leaseSeconds: number;
  /** Waits are ended by what comes; this is the safety net beneath them. */
  readonly idleTakeSeconds = 60;
  readonly #options: RunpodSourceOptions;
  readonly #stopping = new AbortController();
  readonly #parts: Parts;

  constructor(options: RunpodSourceOptions) {
    this.#options = options;
    this.leaseSeconds = options.leaseSeconds;
    this.#parts = connectParts(options, this.#stopping.signal);
    void this.#parts.failures.resume();
  }

  get trouble(): Trouble | null {
    return this.#parts.takes.trouble;
  }

  async take(requests: readonly TakeRequest[]): Promise<Taken> {
    const { takes, clock, held, ends, unreported } = this.#parts;
    const wanted = requests.filter(({ slots, offer }) => slots > 0 && offer?.types.length !== 0);
    takes.slots = wanted.reduce((sum, { slots }) => sum + slots, 0);
    clock.look(requests);
    const workerOf = (type: string) => this.#options.handlerOf(type)?.worker;
    const leases = wanted.flatMap((request) =>
      held.due(request, workerOf).map((one) => held.lease(one, this.leaseSeconds)),
    );
    // No executor is free: what must not run needs none.
    if (wanted.length === 0) for (const one of held.rejected) ends.giveUp(one, one.rejection);
    return { leases, ends: unreported.due() };
  }

  async reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<void> {
    this.#parts.unreported.reported(ends);
  }

  async renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
    const outcomes = renewals.map(({ lease }) => this.#renew(lease));
    if (outcomes.includes("unknown")) this.#parts.present.changed();
    return outcomes;
  }

  publish(lease: LeaseKey, update: JobUpdate): void {
    const { held: jobs, posts } = this.#parts;
    const held = jobs.ofToken(lease);
    if (held === undefined || held.isStopped) return;
    held.channel ??= posts.channelOf(held.runpodId);
    if (update.kind === "text") {
      held.channel.text(update.delta);
    } else {
      const { progress, step, total } = update;
      held.channel.progress({ progress, step, total });
    }
  }

  async refusalOf(lease: LeaseKey, result: JobResult, files: ResultFiles): Promise<ErrorReport | null> {
    const maxBytes = maxBodyBytes(runpodIdOf(lease));
    const built = await buildOutput(result, files, { maxBytes, stopPod: true });
    return "refusal" in built ? built.refusal : null;
  }

  async complete(lease: LeaseKey, result: JobResult, files?: ResultFiles): Promise<SettleOutcome> {
    const { settling, refresh, posts } = this.#parts;
    const before = settling.before(lease, "complete");
    if (before !== null) return before;
    const job = { runpodId: runpodIdOf(lease), isRequested: wantsRefresh(result) };
    return await refresh.ending(job, async (stopPod) => {
      const built = await buildOutput(result, files, { maxBytes: maxBodyBytes(job.runpodId), stopPod });
      const isFailure = "refusal" in built;
      const body = isFailure ? posts.failure(built.refusal, stopPod) : built.body;
      return await settling.post(lease, "complete", { body, isFailure }, "completed");
    });
  }

  async fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome> {
    const { settling, refresh, posts } = this.#parts;
    const before = settling.before(lease, "fail");
    if (before !== null) return before;
    return await refresh.ending({ runpodId: runpodIdOf(lease), isRequested: false }, (stopPod) =>
      settling.post(lease, "fail", { body: posts.failure(error, stopPod), isFailure: true }, "failed"),
    );
  }

  /** The platform has ended the job itself: nothing is posted. */
  async cancelled(lease: LeaseKey): Promise<SettleOutcome> {
    const { settling } = this.#parts;
    return settling.before(lease, "cancelled") ?? settling.settled(lease, "cancelled", "cancelled");
  }

  async retry(
    lease: LeaseKey,
    { error, delaySeconds }: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome> {
    const held = this.#parts.held.ofToken(lease);
    if (held !== undefined) {
      held.previousError = error;
      // It had what it needs.
      held.reason = undefined;
      held.unofferedSinceMs = null;
    }
    return await this.#parts.settling.requeue(lease, "retry", delaySeconds);
  }

  async release(lease: LeaseKey, delaySeconds = 0, reason?: ReleaseReason): Promise<SettleOutcome> {
    const held = this.#parts.held.ofToken(lease);
    if (held !== undefined) {
      held.attempt--;
      held.reason = reason ?? held.reason;
    }
    return await this.#parts.settling.requeue(lease, "release", delaySeconds);
  }

  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    return this.#parts.changes.wait(timeoutMs, signal, what);
  }

  async announce(offers: ReadonlyMap<string, Offer>): Promise<void> {
    const { clock, held, changes } = this.#parts;
    if (this.#stopping.signal.aborted) return;
    clock.announced(offers);
    // What is offered may have changed, and with it what of the jobs here can start.
    if (held.all.some(({ token }) => token === null)) changes.jobs.notify();
  }

  pauseTaking(): void {
    void this.#parts.takes.breakOff();
  }

  async stopTaking(): Promise<void> {
    const { clock, takes, held, ends } = this.#parts;
    if (!this.#stopping.signal.aborted) {
      this.#stopping.abort();
      clock.stop();
      takes.stop();
      for (const one of held.all) if (one.token === null) ends.giveUp(one, stoppedError);
    }
    await takes.stopped();
  }

  async close(): Promise<void> {
    const { failures, stops, api, changes, present } = this.#parts;
    await this.stopTaking();
    await failures.close();
    stops.stop();
    api.close();
    changes.close();
    await Promise.all([stops.stopped(), present.close()]);
  }

  #renew(lease: LeaseKey): RenewalOutcome {
    const { held: jobs, earlier } = this.#parts;
    const held = jobs.ofToken(lease);
    if (held !== undefined) return held.isStopped ? "cancelled" : "held";
    if (jobs.isSettled(lease) || jobs.get(runpodIdOf(lease)) !== undefined) return "lost";
    // One of an earlier process was never given to another container by this one.
    earlier.renewed(runpodIdOf(lease));
    return "unknown";
  }
}
