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
import { RunpodApi } from "./api.ts";
import { Changes } from "./changes.ts";
import { EarlierJobs } from "./earlier-jobs.ts";
import { FailureFiles } from "./failure-files.ts";
import { FailurePosts } from "./failure-posts.ts";
import { HeldClock } from "./held-clock.ts";
import { type HeldJob, HeldJobs, runpodIdOf } from "./held-jobs.ts";
import { readInput } from "./job-input.ts";
import { defaultTimings, type RunpodSourceOptions, type Timings, type Trouble } from "./options.ts";
import { buildOutput, wantsRefresh } from "./output.ts";
import { type Pinger, pingerOf } from "./pinger.ts";
import { Poller, type PollOutcome } from "./poller.ts";
import { type Ending, Posts } from "./posts.ts";
import { maxBodyBytes } from "./protocol/limits.ts";
import { type HttpAnswer, readStopAnswer, readTakeAnswer } from "./protocol/take-answer.ts";
import { besideTake, expandTemplate, withQuery } from "./protocol/url-templates.ts";
import { Refresh } from "./refresh.ts";
import { twinRefusal, typeRefusal } from "./refusals.ts";
import { UnreportedEnds } from "./unreported-ends.ts";

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
  readonly #takeUrl: string;
  readonly #timings: Timings;
  readonly #api: RunpodApi;
  readonly #posts: Posts;
  readonly #held: HeldJobs;
  readonly #pinger: Pinger | null;
  readonly #takes: Poller;
  readonly #stops: Poller;
  readonly #changes = new Changes((isWaiting) => this.#onWaiting(isWaiting));
  readonly #ends: UnreportedEnds;
  readonly #failures: FailurePosts;
  readonly #earlier: EarlierJobs;
  readonly #refresh: Refresh;
  readonly #clock: HeldClock;
  #slots = 0;
  #isWaiting = false;
  #isStopping = false;

  constructor(options: RunpodSourceOptions) {
    this.#options = options;
    this.#timings = { ...defaultTimings, ...options.timings };
    this.leaseSeconds = options.leaseSeconds;
    const { nowMs = Date.now, monotonicMs = () => performance.now(), random = Math.random, log, apiKey } = options;
    this.#api = new RunpodApi({ apiKey, log, postPausesMs: this.#timings.postPausesMs });
    this.#posts = new Posts({ ...options, api: this.#api, timings: this.#timings, monotonicMs });
    const { takeUrl, workerId, gpuType } = options;
    this.#takeUrl = expandTemplate(takeUrl, { workerId, ...(gpuType === undefined ? {} : { gpuType }) });
    const pauseMs = this.#timings.errorPausesMs.at(-1) ?? 0;
    const files = options.failuresFolder === undefined ? null : new FailureFiles(options.failuresFolder);
    const onChange = () => this.#pinger?.set(this.#ids);
    this.#failures = new FailurePosts({ posts: this.#posts, log, pauseMs, files, onChange });
    this.#pinger = pingerOf(options);
    this.#held = new HeldJobs({ nowMs, monotonicMs }, onChange);
    this.#earlier = new EarlierJobs(options.leaseSeconds, monotonicMs);
    this.#refresh = new Refresh(options, () => this.#held.ids);
    const { unofferedLimitMs } = this.#timings;
    const { handlerOf } = options;
    this.#clock = new HeldClock({ held: this.#held, handlerOf, unofferedLimitMs, onTime: () => this.#onTime() });
    this.#ends = new UnreportedEnds(options.leaseSeconds, monotonicMs);
    const shared = { api: this.#api, timings: this.#timings, log, random, monotonicMs };
    this.#takes = new Poller({
      ...shared,
      what: "the take of jobs",
      next: () => this.#nextTake(),
      onAnswer: (answer) => this.#onTake(answer),
    });
    this.#stops = new Poller({
      ...shared,
      what: "the channel of stops",
      next: () => this.#nextStop(),
      onAnswer: (answer) => this.#onStop(answer),
    });
    void this.#failures.resume();
  }

  get trouble(): Trouble | null {
    return this.#takes.trouble;
  }

  async take(requests: readonly TakeRequest[]): Promise<Taken> {
    const wanted = requests.filter(({ slots, offer }) => slots > 0 && offer?.types.length !== 0);
    this.#slots = wanted.reduce((sum, { slots }) => sum + slots, 0);
    this.#clock.look(requests);
    const workerOf = (type: string) => this.#options.handlerOf(type)?.worker;
    const leases = wanted.flatMap((request) =>
      this.#held.due(request, workerOf).map((held) => this.#held.lease(held, this.leaseSeconds)),
    );
    // No executor is free: what must not run needs none.
    if (wanted.length === 0) for (const held of this.#held.rejected) this.#giveUp(held, held.rejection);
    return { leases, ends: this.#ends.due() };
  }

  async reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<void> {
    this.#ends.reported(ends);
  }

  async renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
    const outcomes = renewals.map(({ lease }): RenewalOutcome => {
      const held = this.#held.ofToken(lease);
      if (held !== undefined) return held.isStopped ? "cancelled" : "held";
      if (this.#held.isSettled(lease) || this.#held.get(runpodIdOf(lease)) !== undefined) return "lost";
      // One of an earlier process was never given to another container by this one.
      this.#earlier.renewed(runpodIdOf(lease));
      return "unknown";
    });
    if (outcomes.includes("unknown")) this.#pinger?.set(this.#ids);
    return outcomes;
  }

  publish(lease: LeaseKey, update: JobUpdate): void {
    const held = this.#held.ofToken(lease);
    if (held === undefined || held.isStopped) return;
    held.channel ??= this.#posts.channelOf(held.runpodId);
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
    const before = this.#before(lease, "complete");
    if (before !== null) return before;
    const job = { runpodId: runpodIdOf(lease), isRequested: wantsRefresh(result) };
    return await this.#refresh.ending(job, async (stopPod) => {
      const built = await buildOutput(result, files, { maxBytes: maxBodyBytes(job.runpodId), stopPod });
      const isFailure = "refusal" in built;
      const body = isFailure ? this.#posts.failure(built.refusal, stopPod) : built.body;
      return await this.#post(lease, "complete", { body, isFailure }, "completed");
    });
  }

  async fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome> {
    const before = this.#before(lease, "fail");
    if (before !== null) return before;
    return await this.#refresh.ending({ runpodId: runpodIdOf(lease), isRequested: false }, (stopPod) =>
      this.#post(lease, "fail", { body: this.#posts.failure(error, stopPod), isFailure: true }, "failed"),
    );
  }

  /** The platform has ended the job itself: nothing is posted. */
  async cancelled(lease: LeaseKey): Promise<SettleOutcome> {
    const before = this.#before(lease, "cancelled");
    if (before !== null) return before;
    return this.#settled(lease, "cancelled", "cancelled");
  }

  async retry(
    lease: LeaseKey,
    { error, delaySeconds }: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome> {
    const held = this.#held.ofToken(lease);
    if (held !== undefined) {
      held.previousError = error;
      // It had what it needs.
      held.reason = undefined;
      held.unofferedSinceMs = null;
    }
    return await this.#requeue(lease, "retry", delaySeconds);
  }

  async release(lease: LeaseKey, delaySeconds = 0, reason?: ReleaseReason): Promise<SettleOutcome> {
    const held = this.#held.ofToken(lease);
    if (held !== undefined) {
      held.attempt--;
      held.reason = reason ?? held.reason;
    }
    return await this.#requeue(lease, "release", delaySeconds);
  }

  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    return this.#changes.wait(timeoutMs, signal, what);
  }

  async announce(offers: ReadonlyMap<string, Offer>): Promise<void> {
    if (this.#isStopping) return;
    this.#clock.announced(offers);
    // What is offered may have changed, and with it what of the jobs here can start.
    if (this.#held.all.some(({ token }) => token === null)) this.#changes.jobs.notify();
  }

  async stopTaking(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      this.#clock.stop();
      this.#takes.stop();
      for (const held of this.#held.all) if (held.token === null) this.#giveUp(held, stoppedError);
    }
    await this.#takes.stopped();
  }

  async close(): Promise<void> {
    await this.stopTaking();
    await this.#failures.close();
    this.#stops.stop();
    this.#api.close();
    this.#changes.close();
    await Promise.all([this.#stops.stopped(), this.#pinger?.close()]);
  }

  // The take

  #onWaiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    if (isWaiting) this.#takes.go();
  }

  /** The address of the next take: one is wanted while the dispatcher waits for jobs and this container has room for some. */
  #nextTake(): string | null {
    if (!this.#isWaiting || this.#isStopping || this.#refresh.isWanted) return null;
    const free = Math.min(this.#options.maxConcurrency - this.#held.size, this.#slots);
    if (free <= 0) return null;
    const url = this.#takeUrl;
    const job_in_progress = this.#ids.length > 0 ? "1" : "0";
    const batch = free > 1 ? besideTake(url, "job-take-batch") : null;
    return batch === null
      ? withQuery(url, { job_in_progress })
      : withQuery(batch, { batch_size: String(free), job_in_progress });
  }

  #onTake(given: HttpAnswer): PollOutcome {
    const answer = readTakeAnswer(given);
    if (answer.kind === "throttled") return { kind: "throttled" };
    if (answer.kind === "refused") return { kind: "refused", message: answer.message };
    if (answer.kind === "none") return { kind: "nothing" };
    const { log } = this.#options;
    for (const why of answer.problems) log?.error({ why }, "RunPod handed out what is no job");
    const received = answer.jobs.filter(({ id, input }) => this.#receive(id, input));
    // Nor is one that is known already worth another take at once.
    if (received.length === 0) return { kind: "nothing" };
    this.#stops.go();
    this.#clock.look();
    this.#changes.jobs.notify();
    return { kind: "received" };
  }

  /** False for one that does not come to be here. */
  #receive(id: string, input: unknown): boolean {
    const { defaultType, handlerOf, log } = this.#options;
    if (this.#ids.includes(id)) {
      const message = "RunPod handed out a job that is here already, or whose end waits here for being posted";
      log?.warn({ runpod_id: id }, message);
      return false;
    }
    const { job, rejection } = readInput(id, input, { defaultType, handlerOf });
    const fields = { runpod_id: id, job_id: job.id, type: job.type };
    if (this.#held.all.some((held) => held.job.id === job.id)) {
      log?.warn(fields, "RunPod handed out a job whose id another one has that is here: refused");
      void this.#failures.add(id, twinRefusal(job.id));
      return false;
    }
    this.#held.add(id, job, rejection ?? typeRefusal(job.type, this.#options));
    log?.info(fields, "job received from RunPod");
    // It came while the container was stopping.
    const held = this.#held.get(id);
    if (this.#isStopping && held?.token === null) this.#giveUp(held, held.rejection ?? stoppedError);
    return true;
  }

  // Stops

  #nextStop(): string | null {
    return this.#held.size === 0 ? null : besideTake(this.#takeUrl, "job-stop");
  }

  #onStop(answer: HttpAnswer): PollOutcome {
    if (answer.status === 429) return { kind: "throttled" };
    if (answer.status >= 400) return { kind: "refused", message: `it answers ${answer.status}` };
    for (const id of readStopAnswer(answer)) this.#stop(id);
    return { kind: "nothing" };
  }

  #stop(runpodId: string): void {
    const held = this.#held.get(runpodId);
    if (held === undefined || held.isStopped) return;
    this.#options.log?.info({ runpod_id: runpodId, job_id: held.job.id }, "RunPod has stopped the job");
    held.isStopped = true;
    held.channel?.drop();
    if (held.token === null) this.#addEnd(this.#held.end(held, "cancelled"));
    else this.#changes.leases.notify();
  }

  #addEnd(end: UnreportedEnd): void {
    this.#ends.add(end);
    this.#changes.ends.notify();
    this.#onRoom();
  }

  /** A job is here no more. */
  #onRoom(): void {
    this.#refresh.onRoom();
    this.#changes.jobs.notify();
    this.#takes.go();
  }

  // Settling

  #before(lease: LeaseKey, call: string): SettleOutcome | null {
    const before = this.#held.settledBefore(lease, call);
    if (before !== null) return before;
    const other = this.#held.get(runpodIdOf(lease));
    return other !== undefined && other.token !== lease.token ? "lost" : null;
  }

  async #post(
    lease: LeaseKey,
    call: string,
    ending: Pick<Ending, "body" | "isFailure">,
    became: SettleOutcome,
  ): Promise<SettleOutcome> {
    const held = this.#held.ofToken(lease);
    // The platform has ended it: whatever it became here, nobody waits for it there.
    if (held?.isStopped) return this.#settled(lease, call, became);
    // Closed where there was none: nothing of the job begins beside its end.
    if (held !== undefined) held.channel ??= this.#posts.channelOf(held.runpodId);
    await held?.channel?.finish();
    const isStream = held?.channel?.hasStreamed ?? false;
    const isKnown = await this.#posts.done(runpodIdOf(lease), { ...ending, isStream });
    return this.#settled(lease, call, isKnown ? became : "unknown");
  }

  #settled(lease: LeaseKey, call: string, outcome: SettleOutcome): SettleOutcome {
    const held = this.#held.ofToken(lease);
    if (held !== undefined) this.#held.remove(held);
    if (this.#earlier.ended(runpodIdOf(lease))) this.#pinger?.set(this.#ids);
    this.#onRoom();
    return this.#held.remember(lease, call, outcome);
  }

  async #requeue(lease: LeaseKey, call: string, delaySeconds: number): Promise<SettleOutcome> {
    const before = this.#held.settledBefore(lease, call);
    if (before !== null) return before;
    const held = this.#held.ofToken(lease);
    if (held === undefined) return "lost";
    if (held.isStopped) {
      this.#ends.add(this.#held.end(held, "cancelled"), { isAnswered: true });
      this.#onRoom();
      return this.#held.remember(lease, call, "cancelled");
    }
    if (this.#isStopping) {
      // Its end is recorded without a wait for the platform, which the container may not live to see.
      await this.#failures.add(held.runpodId, stoppedError, held.channel);
      return this.#settled(lease, call, "failed");
    }
    this.#held.putBack(held, delaySeconds);
    this.#clock.look();
    this.#changes.jobs.notify();
    return this.#held.remember(lease, call, "requeued");
  }

  /** A job that waits here, and that this container will not run any more. */
  #giveUp(held: HeldJob, error: ErrorReport = stoppedError): void {
    void this.#failures.add(held.runpodId, error, held.channel);
    this.#addEnd(this.#held.end(held, "failed", error));
  }

  #onTime(): void {
    this.#changes.jobs.notify();
    // Who has no executor that is free does not wait for jobs.
    if (this.#held.rejected.length > 0) this.#changes.ends.notify();
  }

  /** RunPod's ids of all jobs that are this container's matter, until their ends are posted. */
  get #ids(): readonly string[] {
    return [...new Set([...this.#held.ids, ...this.#failures.ids, ...this.#earlier.ids])];
  }
}
