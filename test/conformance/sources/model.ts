import fc from "fast-check";
import { expect, test } from "vitest";
import { CodedError } from "#contract/errors.ts";
import type { JobRecord, Lease, Offer, TakeRequest, UnreportedEnd } from "#runtime/sources/job-source.ts";
import { failure, type Harness, makeJob, result, type SettleCall, type Side, settleCalls, worker } from "./harness.ts";
import { type ModelBody, ModelQueue, toEnvelope } from "./model-queue.ts";

/*
 * Random sequences of calls, from two containers, against the plain model of the contract. Where the storage is a service,
 * some calls' answers are lost after they were applied.
 */
export interface ModelStorage {
  /** Empty; `advance` moves its time without waiting. */
  open(): Promise<Harness>;
  /** How many sequences are tried. */
  readonly runs: number;
  /** The storage's time, where it is known to the millisecond: delays are then compared, and the order of a take. */
  readonly nowMs?: () => number;
  /** The next answer is lost; `off` ends that when there was none. */
  readonly losing?: { readonly on: () => void; readonly off: () => void };
  /** What else must hold after each call. */
  check?(model: ModelQueue): Promise<void>;
}

const jobIds = ["a", "b", "c", "d", "e"] as const;
const id = fc.constantFrom(...jobIds);
const side = fc.nat(1);
/** Points at one of the leases given out so far, old ones too. */
const lease = fc.nat(30);
/** Where leases last 30 seconds; elsewhere in proportion, so that no real time that a sequence takes counts. */
const seconds = fc.constantFrom(0, 4, 20);
const secondsOfLease = 30;
/** One in ten. */
const isLost = fc.nat(9).map((draw) => draw === 0);

const types = ["sdxl_image_fast"];
const offers: Readonly<Record<"tiny" | "modelless" | "nothing", Offer>> = {
  tiny: { types, defaultModelTypes: [], models: ["tiny"] },
  modelless: { types, defaultModelTypes: types, models: [] },
  nothing: { types: [], defaultModelTypes: [], models: [] },
};

const call = fc.oneof(
  fc.record({
    kind: fc.constant("enqueue"),
    id,
    side,
    isLost,
    seconds,
    priority: fc.nat(1),
    model: fc.constantFrom(null, "base", "tiny"),
    expiresInSeconds: fc.constantFrom(null, null, 15),
  }),
  fc.record({
    kind: fc.constant("take"),
    side,
    isLost,
    slots: fc.integer({ min: 1, max: 3 }),
    offer: fc.constantFrom(undefined, undefined, offers.tiny, offers.modelless, offers.nothing),
  }),
  fc.record({ kind: fc.constant("reported"), side, isLost, end: fc.nat(30) }),
  fc.record({ kind: fc.constant("renew"), side, isLost, lease }),
  fc.record({ kind: fc.constant("settle"), side, isLost, lease, how: fc.constantFrom(...settleCalls), seconds }),
  fc.record({ kind: fc.constant("cancel"), side, isLost, id }),
  fc.record({ kind: fc.constant("redrive"), side, isLost, id }),
  fc.record({ kind: fc.constant("advance"), seconds: fc.constantFrom(2, 10, 31) }),
);
type Call = typeof call extends fc.Arbitrary<infer Value> ? Value : never;

export function testAgainstModel(storage: ModelStorage): void {
  test("any sequence of calls does what the contract says", { timeout: 600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 5, maxLength: 50, size: "max" }), async (calls) => {
        const run = await Run.start(storage);
        try {
          for (const each of calls) await run.step(each);
        } finally {
          await run.end();
        }
      }),
      { numRuns: storage.runs },
    );
  });
}

class Run {
  readonly #storage: ModelStorage;
  readonly #harness: Harness;
  readonly #sides: readonly Side[];
  readonly #model: ModelQueue;
  readonly #leases: Lease[] = [];
  /** Ends that were answered, with who has them now: nobody else reports them. */
  readonly #ends = new Map<string, { readonly end: UnreportedEnd; readonly at: Side }>();
  #settled = new Map<string, JobRecord>();

  private constructor(storage: ModelStorage, harness: Harness, second: Side) {
    this.#storage = storage;
    this.#harness = harness;
    this.#sides = [harness, second];
    this.#model = new ModelQueue(harness.source.leaseSeconds * 1000);
    this.#model.nowMs = storage.nowMs?.() ?? 0;
  }

  static async start(storage: ModelStorage): Promise<Run> {
    const harness = await storage.open();
    return new Run(storage, harness, await harness.second());
  }

  end(): Promise<void> {
    return this.#harness.close();
  }

  async step(each: Call): Promise<void> {
    if (each.kind === "advance") {
      const ms = this.#msOf(each.seconds);
      await this.#harness.advance(ms);
      this.#model.nowMs = this.#storage.nowMs?.() ?? this.#model.nowMs + ms;
    } else {
      const at = this.#sides[each.side];
      // The model's cancel notices every lease that has run out; elsewhere the next take does, of whichever worker.
      if (each.kind === "cancel" && at !== undefined) await this.#take(at, { worker: "nobody", slots: 1 });
      if (each.isLost) this.#storage.losing?.on();
      if (at !== undefined) await this.#act(each, at);
      this.#storage.losing?.off();
    }
    await this.#check(each);
  }

  async #act(each: Exclude<Call, { kind: "advance" }>, at: Side): Promise<void> {
    switch (each.kind) {
      case "enqueue": {
        const expiresInMs = each.expiresInSeconds === null ? null : this.#msOf(each.expiresInSeconds);
        const body: ModelBody = this.#model.jobs.get(each.id) ?? { ...each, expiresInMs };
        const job = makeJob(each.id, toEnvelope(body));
        const delayMs = this.#msOf(each.seconds);
        const outcome = await at.queue.enqueue(job, { worker, delaySeconds: delayMs / 1000 });
        expect(outcome.created).toBe(this.#model.enqueue(each.id, body, delayMs));
        break;
      }
      case "take": {
        const { offer } = each;
        await this.#take(at, { worker, slots: each.slots, ...(offer === undefined ? {} : { offer }) });
        break;
      }
      case "reported": {
        const chosen = [...this.#ends.values()][each.end % Math.max(this.#ends.size, 1)];
        if (chosen === undefined) break;
        await chosen.at.source.reported([chosen.end]);
        this.#model.reported(chosen.end.jobId, chosen.end.run);
        break;
      }
      case "renew":
      case "settle": {
        const chosen = this.#leases[each.lease % Math.max(this.#leases.length, 1)];
        if (chosen !== undefined) await this.#useLease(each, at, chosen);
        break;
      }
      case "cancel":
        expect(await answer(at.queue.cancel(each.id))).toBe(this.#model.cancel(each.id));
        break;
      case "redrive":
        expect(await answer(at.queue.redrive(each.id).then(() => "redriven"))).toBe(this.#model.redrive(each.id));
        this.#settled.delete(each.id);
        break;
    }
  }

  async #take(at: Side, request: TakeRequest): Promise<void> {
    const { leases, ends } = await at.source.take([request]);
    this.#model.sweep();
    const due = request.worker === worker ? this.#model.dueIds(request.slots, request.offer) : [];
    const taken = leases.map((lease) => lease.jobId);
    // Without an exact clock, jobs of one moment may have come in either order.
    if (this.#storage.nowMs === undefined) expect(taken.toSorted()).toEqual(due.toSorted());
    else expect(taken).toEqual(due);
    for (const { jobId, token, run } of leases) {
      this.#model.lease(jobId, token);
      expect(run).toBe(this.#model.jobs.get(jobId)?.run);
    }
    this.#leases.push(...leases);
    const expected = this.#model.takeEnds();
    const answered = ends.map(({ jobId, run, attempt, status }) => ({ jobId, run, attempt, status }));
    expect(answered.toSorted(byId)).toEqual(expected.toSorted(byId));
    for (const end of ends) this.#ends.set(`${end.jobId}/${end.run}`, { end, at });
  }

  async #useLease(each: Extract<Call, { kind: "renew" | "settle" }>, { source }: Side, chosen: Lease): Promise<void> {
    const { jobId, token } = chosen;
    if (each.kind === "renew") {
      expect(await source.renew([{ lease: chosen }])).toEqual([this.#model.renew(jobId, token)]);
      return;
    }
    const delayMs = this.#msOf(each.seconds);
    const settling: Readonly<Record<SettleCall, () => Promise<string>>> = {
      complete: () => source.complete(chosen, result),
      retry: () => source.retry(chosen, { error: failure, delaySeconds: delayMs / 1000 }),
      fail: () => source.fail(chosen, failure),
      release: () => source.release(chosen),
      cancelled: () => source.cancelled(chosen),
    };
    const became = await settling[each.how]();
    const expected = this.#model.settle(each.how, jobId, token, delayMs);
    expect(became).toBe(expected);
  }

  #msOf(seconds: number): number {
    return (seconds * 1000 * this.#harness.source.leaseSeconds) / secondsOfLease;
  }

  /** The stored jobs are the model's, and what must always hold does. */
  async #check(each: Call): Promise<void> {
    const { jobs } = await this.#harness.queue.list({ limit: 100 });
    const stored = jobs.toReversed().map((record) => this.#shown(record.job.id, record));
    const expected = [...this.#model.jobs.values()].map((job) => this.#shown(job.id, job));
    expect(stored, JSON.stringify(each)).toEqual(expected);
    for (const record of jobs) this.#checkRecord(record);
    await this.#storage.check?.(this.#model);
  }

  /** A lease that ran out is noticed by the next take; until then its job is shown as running, where the model knows. */
  #shown(id: string, record: Pick<JobRecord, "status" | "attempt" | "cancelRequested" | "availableAtMs">) {
    const { status, attempt, cancelRequested, availableAtMs } = record;
    const job = this.#model.jobs.get(id);
    const hasRunOut = job?.status === "queued" && job.token !== null;
    const waits = this.#storage.nowMs !== undefined && status === "queued" ? { availableAtMs } : {};
    return { id, attempt, cancelRequested, status: hasRunOut && status === "running" ? "queued" : status, ...waits };
  }

  #checkRecord(record: JobRecord): void {
    const live = record.attempts.filter((attempt) => attempt.outcome === "running");
    expect(live).toHaveLength(record.status === "running" ? 1 : 0);
    const charged = record.attempts.filter((attempt) => attempt.outcome !== "released");
    expect(charged.length).toBeGreaterThanOrEqual(record.attempt);
    const earlier = this.#settled.get(record.job.id);
    if (earlier !== undefined) expect(record).toEqual(earlier);
    if (record.settledAtMs !== null) this.#settled.set(record.job.id, record);
  }
}

function byId(a: { readonly jobId: string }, b: { readonly jobId: string }): number {
  return a.jobId < b.jobId ? -1 : 1;
}

async function answer(call: Promise<string>): Promise<string> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
}
