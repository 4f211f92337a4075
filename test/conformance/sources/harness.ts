import { expect } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import { type Job, jobEnvelope } from "#contract/job.ts";
import type {
  EnqueueOptions,
  JobQueue,
  JobRecord,
  JobResult,
  JobSource,
  JobStatus,
  Lease,
  LeaseKey,
  SettleOutcome,
  UnreportedEnd,
} from "#runtime/sources/job-source.ts";

/** One container's view of the storage under test. */
export interface Side {
  readonly source: JobSource;
  readonly queue: JobQueue;
}

/** An empty storage with one container on it. */
export interface Harness extends Side {
  /** Lets this time go by: moves an injected clock, or really waits. */
  advance(ms: number): Promise<void>;
  /** The same for a test of how old jobs are: where moments are moved, those at which jobs came may be out of reach. */
  grow(ms: number): Promise<void>;
  /** Enqueues thousands of jobs in less time than one by one, where the storage has a way. */
  fill?(jobs: readonly Job[]): Promise<void>;
  /** Another container on the same storage: another connection and another worker id. */
  second(): Promise<Side>;
  close(): Promise<void>;
}

/** What a source's service offers. A test of something that is missing is reported as skipped. */
export interface Capabilities {
  /** Jobs of higher priority go first. */
  readonly priorities: boolean;
  /** `delaySeconds` of enqueue and retry. */
  readonly delays: boolean;
  /** `heldModels` of take. */
  readonly affinity: boolean;
  /** Jobs of the same id or idempotency key are recognised. */
  readonly idempotency: boolean;
  /** `get` and `list` with attempts, and `stats`. */
  readonly records: boolean;
  readonly cancelling: boolean;
  readonly redriving: boolean;
  /** Jobs wait for others that they name; where they do not, such a job is refused. */
  readonly dependencies: boolean;
  /** What failed attempts have printed is kept. */
  readonly logs: boolean;
  /** The service may lose its data: of a job without a record it says "unknown", not "lost". */
  readonly forgets: boolean;
  /** What one container knows of a job another one knows too, and jobs go from one to the other: given back, or not renewed. */
  readonly shared: boolean;
  /** Jobs wait in the source: it has places, pauses and time limits for them, and takes only what it is to run. */
  readonly waiting: boolean;
}

export const allCapabilities: Capabilities = {
  priorities: true,
  delays: true,
  affinity: true,
  idempotency: true,
  records: true,
  cancelling: true,
  redriving: true,
  dependencies: true,
  logs: true,
  forgets: false,
  shared: true,
  waiting: true,
};

/** What a group of tests is given; the harness is a new one in each test. */
export interface Suite {
  readonly capabilities: Capabilities;
  harness(): Harness;
}

export const worker = "sdxl";
export const result: JobResult = {
  assets: [{ path: "anonymous/a/0.png" }],
  metadata: { seed: 7 },
  text: "a red apple",
};
export const failure: ErrorReport = { code: "HANDLER_FAILED", message: "the scheduler refused 0 steps" };
export const settleCalls = ["complete", "retry", "fail", "release", "cancelled"] as const;
export type SettleCall = (typeof settleCalls)[number];

/** State that a job is in after each settling call. */
export const stateAfter: Readonly<Record<SettleCall, JobStatus>> = {
  complete: "completed",
  retry: "queued",
  fail: "failed",
  release: "queued",
  cancelled: "cancelled",
};

/** What each settling call answers for a job whose cancel was not requested. */
export const outcomeOf: Readonly<Record<SettleCall, SettleOutcome>> = {
  complete: "completed",
  retry: "requeued",
  fail: "failed",
  release: "requeued",
  cancelled: "cancelled",
};

export function makeJob(id: string, fields: Readonly<Record<string, unknown>> = {}): Job {
  return jobEnvelope.parse({ id, type: "sdxl_image_fast", prompt: "a red cube on a white table", ...fields });
}

export function enqueue(
  { queue }: Side,
  id: string,
  fields: Readonly<Record<string, unknown>> = {},
  options: Partial<EnqueueOptions> = {},
) {
  return queue.enqueue(makeJob(id, fields), { worker, ...options });
}

const filledAtOnce = 100;

/** Enqueues many jobs that only have to be there, in this order. */
export async function fill(harness: Harness, jobs: readonly Job[]): Promise<void> {
  if (harness.fill !== undefined) return await harness.fill(jobs);
  for (let from = 0; from < jobs.length; from += filledAtOnce) {
    const batch = jobs.slice(from, from + filledAtOnce);
    await Promise.all(batch.map((job) => harness.queue.enqueue(job, { worker })));
  }
}

export async function take({ source }: Side, slots = 1, heldModels: readonly string[] = []): Promise<readonly Lease[]> {
  return (await source.take([{ worker, slots, heldModels }])).leases;
}

/** Ends that nobody has reported, asked for without taking a job. */
export async function takeEnds({ source }: Side): Promise<readonly UnreportedEnd[]> {
  return (await source.take([{ worker: "nobody", slots: 1 }])).ends;
}

/** Takes the one job that must be due. */
export async function takeOne(side: Side): Promise<Lease> {
  const [lease] = await take(side);
  if (lease === undefined) throw new Error("no job was due");
  return lease;
}

/** Ids in the order in which the queue gives them out. */
export async function takenIds(side: Side, slots: number, heldModels: readonly string[] = []): Promise<string[]> {
  return (await take(side, slots, heldModels)).map((lease) => lease.jobId);
}

export function settle(source: JobSource, call: SettleCall, lease: LeaseKey): Promise<SettleOutcome> {
  if (call === "complete") return source.complete(lease, result);
  if (call === "fail") return source.fail(lease, failure);
  if (call === "retry") return source.retry(lease, { error: failure, delaySeconds: 0 });
  return source[call](lease);
}

/** Lets every lease of the source run out. */
export function outliveLeases({ source, advance }: Harness): Promise<void> {
  return advance(source.leaseSeconds * 1000 + 1);
}

/** The job as it is stored, undefined for a source that keeps no records. */
export async function recordOf({ harness, capabilities }: Suite, jobId: string): Promise<JobRecord | undefined> {
  if (!capabilities.records) return undefined;
  const record = await harness().queue.get(jobId);
  if (record === null) throw new Error(`job ${jobId} is not kept`);
  return record;
}

export async function expectStatus(suite: Suite, jobId: string, status: JobStatus): Promise<void> {
  const record = await recordOf(suite, jobId);
  if (record !== undefined) expect(record.status).toBe(status);
}

/** Runs `action` and checks that the stored job is the same as before. */
export async function expectUnchanged(suite: Suite, jobId: string, action: () => Promise<void>): Promise<void> {
  const before = await recordOf(suite, jobId);
  await action();
  expect(await recordOf(suite, jobId)).toEqual(before);
}
