import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import type { Emulator } from "#functions/runpod/emulator.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { worker } from "#test/conformance/sources/harness.ts";
import type { Harness, Side } from "#test/conformance/sources/index.ts";
import type { JobQueue, JobSource, Lease, Taken, TakeRequest, UnreportedEnd } from "../../job-source.ts";
import type { RunpodSourceOptions } from "../options.ts";
import { RunpodSource } from "../runpod-source.ts";

/*
 * For the conformance tests: containers of an endpoint of the emulator. They take from a queue that answers at once, which
 * this source does not: its jobs come in while it waits. So here a take waits for what was submitted and has not come yet.
 */
const leaseSeconds = 30;
const input = jobEnvelope.extend({ extra: z.unknown() });
/** What the tests read of a container's log. */
const received = z.object({ msg: z.literal("job received from RunPod") });

/** The worker is not among what a job says here, so that its type has to say it. */
const typeFor = (name: string, type: string) => (name === worker ? type : `${name}__${type}`);
const workerFor = (type: string) => (type.includes("__") ? (type.split("__")[0] ?? worker) : worker);

/** A source whose take waits for jobs that were submitted and have not come yet, as far as it has slots for them. */
class PromptSource extends RunpodSource {
  readonly #awaited: () => number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RunpodSourceOptions, awaited: () => number) {
    super(options);
    this.#awaited = awaited;
  }

  override take(requests: readonly TakeRequest[]): Promise<Taken> {
    const taken = this.#turn.then(() => this.#take(requests));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  async #take(requests: readonly TakeRequest[]): Promise<Taken> {
    const leases: Lease[] = [];
    const ends: UnreportedEnd[] = [];
    for (;;) {
      const left = requests.map((request) => {
        const own = leases.filter(({ job }) => workerFor(job.type) === request.worker);
        return typed({ ...request, slots: request.slots - own.length });
      });
      const taken = await super.take(left);
      leases.push(...taken.leases);
      ends.push(...taken.ends);
      const wanted = requests.reduce((sum, { slots, offer }) => sum + (offer?.types.length === 0 ? 0 : slots), 0);
      if (leases.length >= wanted || this.#awaited() === 0) return { leases, ends };
      await this.waitForChange(60_000, new AbortController().signal, "jobs");
    }
  }
}

/** What is offered and skipped, by the types that jobs have here. */
function typed({ worker: name, offer, skip, ...rest }: TakeRequest): TakeRequest {
  const types = (all: readonly string[]) => all.map((type) => typeFor(name, type));
  return {
    ...rest,
    worker: name,
    ...(offer === undefined
      ? {}
      : { offer: { ...offer, types: types(offer.types), defaultModelTypes: types(offer.defaultModelTypes) } }),
    ...(skip === undefined ? {} : { skip: skip.map((one) => ({ ...one, type: typeFor(name, one.type) })) }),
  };
}

function noCall(): Promise<never> {
  return Promise.reject(new Error("clients of an endpoint have no such call"));
}

/** @param endpoint one that no other test has used */
export async function openRunpodHarness(emulator: Emulator, endpoint: string, apiKey: string): Promise<Harness> {
  const url = `${emulator.url}/${endpoint}`;
  const opened: JobSource[] = [];
  let awaited = 0;
  let passedMs = 0;
  const log = await logOf(() => awaited--);
  const queue = queueOf(async (job) => {
    await submit(`${url}/run`, apiKey, job);
    awaited++;
  });

  async function open(): Promise<Side> {
    const clocks = { nowMs: () => Date.now() + passedMs, monotonicMs: () => performance.now() + passedMs };
    const options = { ...optionsOf(url, `container-${opened.length + 1}`), ...clocks, apiKey, log };
    const source = new PromptSource(options, () => awaited);
    opened.push(source);
    // As a dispatcher does, before it waits for the first time.
    await source.take([{ worker, slots: 1 }]);
    return { source, queue };
  }

  const advance = async (ms: number): Promise<void> => {
    passedMs += ms;
  };
  return {
    ...(await open()),
    advance,
    grow: advance,
    second: open,
    async close() {
      await Promise.all(opened.map((source) => source.close()));
    },
  };
}

function logOf(onReceived: () => void) {
  const output = {
    dropped: 0,
    write(line: string | Uint8Array) {
      if (received.safeParse(JSON.parse(line.toString())).success) onReceived();
      return true;
    },
  };
  return createLogger({ level: "info", format: "json" }, {}, output);
}

async function submit(url: string, apiKey: string, job: object): Promise<void> {
  const body = JSON.stringify({ input: job });
  const answer = await fetch(url, { method: "POST", headers: { authorization: apiKey }, body });
  if (answer.status !== 200) throw new Error(`run answers ${answer.status}: ${await answer.text()}`);
}

function queueOf(run: (job: object) => Promise<void>): JobQueue {
  return {
    async enqueue(job, options) {
      await run({ ...job, type: typeFor(options.worker, job.type) });
      return { jobId: job.id, created: true, position: 0 };
    },
    cancel: noCall,
    reprioritize: noCall,
    pauseQueue: noCall,
    resumeQueue: noCall,
    redrive: noCall,
    get: noCall,
    list: noCall,
    waiting: noCall,
    stats: noCall,
    match: noCall,
    cancelMany: noCall,
    discard: noCall,
    failureGroups: noCall,
  };
}

function optionsOf(url: string, workerId: string) {
  const at = (operation: string) => `${url}/${operation}/$RUNPOD_POD_ID`;
  return {
    takeUrl: at("job-take"),
    outputUrl: `${at("job-done")}/$ID`,
    streamUrl: null,
    pingUrl: null,
    pingIntervalMs: 10_000,
    podId: undefined,
    workerId,
    gpuType: undefined,
    defaultType: undefined,
    maxConcurrency: 1000,
    refreshAfterJobs: 0,
    fitness: null,
    leaseSeconds,
    hostname: "host",
    handlerOf: (type: string) => ({ worker: workerFor(type), input }),
    knownTypes: () => [],
  };
}
