import fc from "fast-check";
import { expect, test } from "vitest";
import { failure, makeJob, result } from "#test/conformance/sources/harness.ts";
import type { Lease, Offer, UnreportedEnd } from "../job-source.ts";
import {
  membersOf,
  openHarness,
  type UpstashHarness,
  type UpstashSide,
  useGateway,
} from "./testing/upstash-harness.ts";

/*
 * Random sequences of calls from two containers with offers that change, against a plain model: which jobs a take may
 * give out and in which order, that each end is answered once, and that every job is in exactly one place.
 */
const shared = useGateway();
const minuteMs = 60_000;
const types = ["sdxl_image_fast", "sdxl_image_high"] as const;
const models = ["", "lake", "hill"] as const;

const placesOfJobs = [
  "ourvidz:ready:sdxl",
  "ourvidz:parked:sdxl",
  ...types.flatMap((type) => models.map((model) => `ourvidz:parked:sdxl:${type}:${model}`)),
];

const offer = fc.record({
  types: fc.subarray([...types]),
  defaultModelTypes: fc.subarray([...types]),
  models: fc.subarray(["lake", "hill"]),
});
const users = ["ann", "bob"] as const;
const skip = fc.subarray(
  users.flatMap((userId) => types.map((type) => ({ userId, type }))),
  { maxLength: 2 },
);
const side = fc.nat(1);
const pick = fc.nat(20);
/** One in eight. */
const isLost = fc.nat(7).map((draw) => draw === 0);
const call = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("enqueue"),
      type: fc.constantFrom(...types),
      model: fc.constantFrom(...models),
      user: fc.constantFrom(...users),
      priority: fc.nat(1),
      limitMinutes: fc.constantFrom(null, 15),
      isPushed: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("take"),
      side,
      isLost,
      slots: fc.integer({ min: 1, max: 3 }),
      offer: fc.option(offer),
      held: fc.subarray(["lake", "hill"], { maxLength: 1 }),
      skip,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("settle"), pick, how: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel"), pick, isLost }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("redrive"), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("advance"), minutes: fc.constantFrom(2, 10, 31) }) },
);
type Call = typeof call extends fc.Arbitrary<infer Value> ? Value : never;
type CallOf<Kind extends Call["kind"]> = Extract<Call, { kind: Kind }>;

interface KnownJob {
  readonly id: string;
  readonly type: string;
  readonly userId: string;
  readonly model: string;
  readonly priority: number;
  readonly limitMs: number | null;
  status: "waiting" | "running" | "completed" | "failed" | "cancelled";
  run: number;
  expiresAtMs: number;
  leaseEndsAtMs: number;
  cancelRequested: boolean;
  lease?: Lease;
  /** Ended, and no take has answered it yet. */
  isUnreported: boolean;
}

test("takes inside offers, ends and time limits do what the model says", { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 10, maxLength: 60, size: "max" }), async (calls) => {
      const run = await Run.start();
      try {
        for (const each of calls) await run.step(each);
        await run.drain();
      } finally {
        shared.faults = undefined;
        await run.close();
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 60) },
  );
});

class Run {
  readonly #harness: UpstashHarness;
  readonly #sides: readonly UpstashSide[];
  readonly #jobs: KnownJob[] = [];
  #nowMs = 0;

  private constructor(harness: UpstashHarness, second: UpstashSide) {
    this.#harness = harness;
    this.#sides = [harness, second];
  }

  static async start(): Promise<Run> {
    // The server's clock goes on while a sequence runs: that is nothing beside minutes.
    const harness = await openHarness(shared.gateway, { events: false, random: () => 0, leaseSeconds: 30 * 60 });
    return new Run(harness, await harness.second());
  }

  close(): Promise<void> {
    return this.#harness.close();
  }

  async step(each: Call): Promise<void> {
    if (each.kind === "enqueue") await this.#enqueue(each);
    else if (each.kind === "take") await this.#take(each);
    else if (each.kind === "settle") await this.#settle(each);
    else if (each.kind === "cancel") await this.#cancel(each);
    else if (each.kind === "redrive") await this.#redrive(each);
    else {
      await this.#harness.hasten(each.minutes * minuteMs);
      this.#nowMs += each.minutes * minuteMs;
    }
    await this.#checkPlaces();
  }

  /** All that is left is given out to somebody who can run anything. */
  async drain(): Promise<void> {
    await this.#take({ kind: "take", side: 1, isLost: false, slots: 99, offer: null, held: [], skip: [] });
    expect(this.#jobs.filter(({ status, isUnreported }) => status === "waiting" || isUnreported)).toEqual([]);
  }

  async #enqueue({ type, model, user, priority, limitMinutes, isPushed }: CallOf<"enqueue">): Promise<void> {
    const id = `job-${this.#jobs.length}`;
    const named = model === "" ? {} : { model_variant: model };
    const limitMs = limitMinutes === null ? null : limitMinutes * minuteMs;
    const config = limitMs === null ? {} : { expires_in_seconds: limitMs / 1000 };
    const job = makeJob(id, { type, user_id: user, priority, config, ...named });
    if (isPushed) {
      await shared.gateway.client().lpush("sdxl_queue", job);
      // Files it, so that its time begins.
      await this.#harness.queue.cancel("nobody").catch(() => undefined);
      this.#expire();
    } else {
      await this.#harness.queue.enqueue(job, { worker: "sdxl" });
    }
    this.#jobs.push({
      ...{
        id,
        type,
        userId: user,
        model,
        priority,
        limitMs,
        status: "waiting",
        run: 1,
        cancelRequested: false,
        isUnreported: false,
      },
      expiresAtMs: limitMs === null ? Number.POSITIVE_INFINITY : this.#nowMs + limitMs,
      leaseEndsAtMs: 0,
    });
  }

  async #take({ side: place, isLost: loses, slots, offer: offered, held, skip }: CallOf<"take">): Promise<void> {
    const at = this.#sides[place] ?? this.#harness;
    if (loses) loseNextAnswer();
    const request = { worker: "sdxl", slots, heldModels: held, skip, ...(offered === null ? {} : { offer: offered }) };
    const { leases, ends } = await at.source.take([request]);
    shared.faults = undefined;
    this.#expire();
    // Leases of a call whose answer was lost are found again in no order.
    const isSkipped = (job: KnownJob) => skip.some(({ userId, type }) => job.userId === userId && job.type === type);
    const isInside = (job: KnownJob) => canRun(offered, job) && !isSkipped(job);
    this.#checkTaken(loses ? leases.toSorted((a, b) => b.job.priority - a.job.priority) : leases, slots, isInside);
    for (const lease of leases) {
      const job = this.#job(lease.jobId);
      expect(lease.run).toBe(job.run);
      Object.assign(job, {
        status: "running",
        lease,
        leaseEndsAtMs: this.#nowMs + this.#harness.source.leaseSeconds * 1000,
      });
    }
    this.#checkEnds(ends);
    await at.source.reported(ends);
  }

  /** As many as there are inside and not skipped, of the highest priorities, and no other. */
  #checkTaken(leases: readonly Lease[], slots: number, isInside: (job: KnownJob) => boolean): void {
    const inside = this.#jobs.filter((job) => job.status === "waiting" && isInside(job));
    const expected = inside.map(({ priority }) => priority).toSorted((a, b) => b - a);
    expect(leases.map(({ job }) => job.priority)).toEqual(expected.slice(0, slots));
    for (const { jobId } of leases) expect(inside.map(({ id }) => id)).toContain(jobId);
  }

  #checkEnds(ends: readonly UnreportedEnd[]): void {
    const unreported = this.#jobs.filter(({ isUnreported }) => isUnreported);
    const shown = ({ id, run, status }: KnownJob) => `${id} ${run} ${status}`;
    expect(ends.map(({ jobId, run, status }) => `${jobId} ${run} ${status}`).toSorted()).toEqual(
      unreported.map(shown).toSorted(),
    );
    for (const job of unreported) job.isUnreported = false;
  }

  async #settle({ pick: place, how }: CallOf<"settle">): Promise<void> {
    const running = this.#jobs.filter(({ lease }) => lease !== undefined);
    const job = running[place % Math.max(running.length, 1)];
    if (job?.lease === undefined) return;
    const { source } = this.#harness;
    const { lease } = job;
    const isHeld = job.status === "running";
    const requeued = job.cancelRequested ? "cancelled" : "requeued";
    const [outcome, expected] =
      (await [
        async () => [await source.complete(lease, result), "completed"],
        async () => [await source.fail(lease, failure), "failed"],
        async () => [await source.release(lease), requeued],
        async () => [await source.retry(lease, { error: failure, delaySeconds: 0 }), requeued],
        async () => [(await source.renew([{ lease }]))[0], job.cancelRequested ? "cancelled" : "held"],
      ][how]?.()) ?? [];
    const isRenewal = how === 4;
    expect(outcome).toBe(isHeld ? expected : "lost");
    if (!isHeld) {
      delete job.lease;
    } else if (isRenewal) {
      job.leaseEndsAtMs = this.#nowMs + source.leaseSeconds * 1000;
    } else {
      job.status = expected === "requeued" ? "waiting" : statusOf(expected);
      delete job.lease;
      // Who gives a job back hears that it became cancelled, and has that end to report.
      if ((how === 2 || how === 3) && outcome === "cancelled") await source.reported([{ jobId: job.id, run: job.run }]);
    }
  }

  async #cancel({ pick: place, isLost: loses }: CallOf<"cancel">): Promise<void> {
    // The model notices every lease that has run out; the queue does at a take, of whichever worker.
    await this.#takeNothing();
    const job = this.#jobs[place % Math.max(this.#jobs.length, 1)];
    if (job === undefined || (job.status !== "waiting" && job.status !== "running")) return;
    if (loses) loseNextAnswer();
    expect(await this.#harness.queue.cancel(job.id)).toBe(job.status === "waiting" ? "cancelled" : "requested");
    shared.faults = undefined;
    job.cancelRequested = true;
    if (job.status === "waiting") Object.assign(job, { status: "cancelled", isUnreported: true });
  }

  async #redrive({ pick: place }: CallOf<"redrive">): Promise<void> {
    await this.#takeNothing();
    const failed = this.#jobs.filter(({ status }) => status === "failed");
    const job = failed[place % Math.max(failed.length, 1)];
    if (job === undefined) return;
    await this.#harness.queue.redrive(job.id);
    const expiresAtMs = job.limitMs === null ? Number.POSITIVE_INFINITY : this.#nowMs + job.limitMs;
    Object.assign(job, {
      status: "waiting",
      run: job.run + 1,
      expiresAtMs,
      isUnreported: false,
      cancelRequested: false,
    });
  }

  /** A take of another worker sweeps, and answers ends. */
  async #takeNothing(): Promise<void> {
    const { ends } = await this.#harness.source.take([{ worker: "nobody", slots: 1 }]);
    this.#expire();
    this.#checkEnds(ends);
    await this.#harness.source.reported(ends);
  }

  /** What a take notices. */
  #expire(): void {
    for (const job of this.#jobs) {
      if (job.status === "running" && job.leaseEndsAtMs <= this.#nowMs) {
        const status = job.cancelRequested ? "cancelled" : "waiting";
        Object.assign(job, { status, isUnreported: job.cancelRequested });
        delete job.lease;
      }
      if (job.status === "waiting" && job.expiresAtMs <= this.#nowMs) {
        Object.assign(job, { status: "failed", isUnreported: true });
      }
    }
  }

  #job(id: string): KnownJob {
    const job = this.#jobs.find((each) => each.id === id);
    if (job === undefined) throw new Error(`the model has no job ${id}`);
    return job;
  }

  /** Whatever is due is in the ready queue or parked, not both; what is parked is there under its need too. */
  async #checkPlaces(): Promise<void> {
    const [ready = [], parked = [], ...byNeed] = await membersOf(shared.gateway.client(), placesOfJobs);
    expect(byNeed.flat().toSorted()).toEqual(parked.toSorted());
    const places = [...ready, ...parked].map((member) => member.split(":")[1]);
    expect(new Set(places).size).toBe(places.length);
    // A lease that ran out unnoticed is still in the timetable; one that was noticed waits.
    const waiting = this.#jobs.filter(({ status }) => status === "waiting").map(({ id }) => id);
    for (const id of places) expect(this.#job(id ?? "").status).not.toBe("completed");
    for (const id of waiting) if (this.#job(id).leaseEndsAtMs === 0) expect(places).toContain(id);
  }
}

function canRun(offered: Offer | null, { type, model }: KnownJob): boolean {
  if (offered === null) return true;
  if (!offered.types.includes(type)) return false;
  return model === "" ? offered.defaultModelTypes.includes(type) : offered.models.includes(model);
}

function statusOf(outcome: unknown): KnownJob["status"] {
  return outcome === "completed" || outcome === "failed" ? outcome : "cancelled";
}

/** The next script's answer is lost after it was applied. */
function loseNextAnswer(): void {
  let isSpent = false;
  shared.faults = ({ commands }) => {
    if (isSpent || commands[0]?.[0]?.toString().toLowerCase() !== "evalsha") return undefined;
    isSpent = true;
    return { kind: "drop", at: "after" };
  };
}
