import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, vi } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import { CodedError } from "#contract/errors.ts";
import type { Callback } from "#runtime/delivery/callbacks/callback.ts";
import { HttpCallback } from "#runtime/delivery/callbacks/http-callback.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import type { CallbackServer } from "../../support/supabase/callback-server.ts";
import { makeJob, worker } from "../sources/harness.ts";
import type { Harness } from "../sources/index.ts";
import { Chance } from "./chance.ts";
import { ModelContainer } from "./model-container.ts";
import { sendOver } from "./ports.ts";
import { checkArrived, keyOf } from "./wire-check.ts";

/*
 * Jobs, the containers that share their source, and the app that hears of them, with everything that happens at once: users who
 * cancel, executors that die, containers that stop and start, lines that fail, time that goes by.
 */
export interface WorldOptions {
  readonly harness: Harness;
  readonly app: CallbackServer;
  readonly registry: Registry;
  readonly log: Logger;
  readonly seed: number;
  /** Whether containers are killed and the app's answers lost: then an end may arrive again. */
  readonly isDeadly: boolean;
}

const maxJobs = 12;
const steps = 60;
const containersAtOnce = 2;

export class World {
  readonly #options: WorldOptions;
  readonly #chance: Chance;
  /** With the ends that their source does not know to be recorded. */
  readonly #folders = new Map<string, Set<string>>();
  readonly #containers: ModelContainer[] = [];
  /** Their runs, by job. */
  readonly #jobs = new Map<string, number>();
  readonly #webhooks: JobCallback[] = [];
  readonly #lost = new Map<string, number>();
  /** How often a container was killed, or nobody was on its folder for longer than a lease. */
  #absences = 0;
  #started = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#chance = new Chance(options.seed);
  }

  /** Resolves when everything that happened has come to its end, and was checked. */
  async play(): Promise<void> {
    try {
      while (this.#containers.length < containersAtOnce) await this.#start(await this.#newFolder());
      for (let step = 0; step < steps; step++) {
        await this.#happen();
        await pause(this.#chance.random() * 4);
        // At every moment somebody may want what waits to be tried.
        await this.#chance.of(this.#containers)?.nudge();
      }
      await this.#comeToRest();
      await this.#check();
    } finally {
      for (const container of this.#containers) await container.kill();
      for (const folder of this.#folders.keys()) await rm(folder, { recursive: true, force: true });
    }
  }

  async #happen(): Promise<void> {
    const { queue } = this.#options.harness;
    const container = this.#chance.of(this.#containers);
    const jobId = this.#chance.of([...this.#jobs.keys()]);
    const draw = this.#chance.below(20);
    if (draw < 6) return this.#enqueue();
    if (draw < 9 && jobId !== undefined) return void (await refusedOr(queue.cancel(jobId)));
    if (draw < 10 && jobId !== undefined) return this.#redrive(jobId);
    if (draw < 12) return this.#letTimeGoBy();
    if (draw < 13) return container?.executor.crash();
    if (draw < 14) return container?.release();
    if (draw < 15) return container?.dispatcher.pause();
    if (draw < 18) return container?.dispatcher.resume();
    if (draw < 19) return this.#end(container, (one) => one.stop());
    if (!this.#options.isDeadly) return;
    this.#absences++;
    // What it had not recorded yet another one is answered.
    container?.held.ends.clear();
    await this.#end(container, (one) => one.kill());
  }

  /** Ends a container, of which another one is started on its folder. */
  async #end(container: ModelContainer | undefined, how: (one: ModelContainer) => Promise<void>): Promise<void> {
    if (container === undefined) return;
    await how(container);
    this.#containers.splice(this.#containers.indexOf(container), 1);
    if (this.#options.isDeadly && this.#chance.is(0.5)) {
      this.#absences++;
      await this.#letTimeGoBy(4);
    }
    await this.#start(container.folder);
  }

  async #enqueue(): Promise<void> {
    if (this.#jobs.size >= maxJobs) return;
    const id = `job-${this.#jobs.size + 1}`;
    const limits = this.#chance.of([{}, {}, { expires_in_seconds: 15 }, { timeout_seconds: 0.008 }]);
    const job = makeJob(id, { user_id: "ann", config: limits, webhook_url: "https://shop.example/ended" });
    await this.#options.harness.queue.enqueue(job, { worker });
    this.#jobs.set(id, 1);
  }

  async #redrive(jobId: string): Promise<void> {
    const answer = await refusedOr(this.#options.harness.queue.redrive(jobId));
    if (!(answer instanceof CodedError)) this.#jobs.set(jobId, (this.#jobs.get(jobId) ?? 1) + 1);
  }

  /** A third of a lease each time: whoever lives renews what it holds, and confirms ends, before more goes by. */
  async #letTimeGoBy(times = 1): Promise<void> {
    const { harness } = this.#options;
    const ms = Math.ceil((harness.source.leaseSeconds * 1000) / 3);
    for (let time = 0; time < times; time++) {
      await expect.poll(() => this.#unconfirmed(), { timeout: 60_000, interval: 2 }).toEqual([]);
      for (const { held } of this.#containers) await harness.source.renew(held.leases.map((lease) => ({ lease })));
      vi.advanceTimersByTime(ms);
      await harness.advance(ms);
    }
  }

  async #unconfirmed(): Promise<string[]> {
    const ends = this.#containers.flatMap(({ held }) => [...held.ends]);
    if (ends.length > 0) await Promise.all(this.#containers.map((container) => container.nudge()));
    return ends;
  }

  async #newFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "ourvidz-ends-"));
    this.#folders.set(folder, new Set());
    return folder;
  }

  async #start(folder: string): Promise<void> {
    const { harness, registry, log } = this.#options;
    const name = `container-${++this.#started}`;
    const container = await ModelContainer.start({
      ...{ name, folder, registry, log, side: await harness.second(), chance: this.#chance },
      ends: this.#folders.get(folder) ?? new Set(),
      troubles: { probability: 0.1 },
      nowMs: () => Date.UTC(2026, 0, 1) + performance.now(),
      callback: this.#callback(),
      webhook: {
        send: (_url, callback, _bucket, signal) =>
          this.#send(callback, "webhook", async () => void this.#webhooks.push(callback), signal),
      },
    });
    this.#containers.push(container);
  }

  #callback(): Callback {
    const { url, secret } = this.#options.app;
    const app = new HttpCallback({ config: { url, secret, assets: "objects" }, project: null, nowMs: Date.now });
    return { name: "app", send: (body, signal) => this.#send(body, "callback", () => app.send(body, signal), signal) };
  }

  #send(body: JobCallback, what: string, send: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const key = `${what} ${keyOf(body)}`;
    const onLost = () => void this.#lost.set(key, (this.#lost.get(key) ?? 0) + 1);
    const sent = async () => {
      try {
        await send();
      } finally {
        // What a container breaks off when its time to stop is over may have arrived.
        if (signal.aborted) onLost();
      }
    };
    return sendOver(this.#chance, { losesAnswers: this.#options.isDeadly }, sent, onLost);
  }

  async #comeToRest(): Promise<void> {
    for (const { dispatcher } of this.#containers) dispatcher.resume();
    // Ends that a container has left are answered one lease time later, and reported.
    for (let time = 0; time < 6; time++) {
      await this.#letTimeGoBy();
      await expect.poll(() => this.#restless(), { timeout: 60_000, interval: 10 }).toEqual([]);
    }
  }

  /** What is not through, after one more step of everything. */
  async #restless(): Promise<string[]> {
    await this.#letTimeGoBy();
    // What hangs in an executor ends with it.
    for (const { executor } of this.#containers) if (this.#chance.is(0.1)) executor.crash();
    await Promise.all(this.#containers.map((container) => container.nudge()));
    const records = await Promise.all([...this.#jobs.keys()].map((id) => this.#options.harness.queue.get(id)));
    const jobs = records.filter((record) => record !== null && !isSettled(record.status));
    const containers = this.#containers.filter(({ isAtRest }) => !isAtRest);
    return [
      ...jobs.map((record) => `${record?.job.id} is ${record?.status}`),
      ...containers.map(({ delivery, dispatcher }) => `${delivery.pending} rows, ${dispatcher.activeJobs} active jobs`),
    ];
  }

  async #check(): Promise<void> {
    const { harness, app, isDeadly } = this.#options;
    const callbacks = app.arrived.map(({ callback }) => callback);
    for (const [jobId, runs] of this.#jobs) {
      const record = await harness.queue.get(jobId);
      if (record === null) throw new Error(`${jobId} is gone`);
      const ofJob = ({ job_id }: JobCallback) => job_id === jobId;
      checkArrived({
        ...{ jobId, record, runs, callbacks: callbacks.filter(ofJob), webhooks: this.#webhooks.filter(ofJob) },
        maxRepeats: (what, key) => (this.#lost.get(`${what} ${key}`) ?? 0) + this.#absences,
        mayLoseAttempts: isDeadly,
      });
    }
  }
}

async function refusedOr<Answer>(answer: Promise<Answer>): Promise<Answer | CodedError> {
  return answer.catch((error: unknown) => {
    if (error instanceof CodedError) return error;
    throw error;
  });
}
