import { createHash } from "node:crypto";
import type { Job } from "#contract/job.ts";
import type { JobQueue, JobRecord, JobSource, LeaseKey } from "../../job-source.ts";

/**
 * Ids in the database are UUIDs; tests read better with names. `uuidOf` makes one of the other, always the same, and
 * `nameOf` brings back what it has made.
 */
export class Names {
  readonly #names = new Map<string, string>();

  uuidOf(name: string): string {
    const hex = createHash("sha256").update(name).digest("hex");
    const uuid = [
      hex.slice(0, 8),
      hex.slice(8, 12),
      `8${hex.slice(13, 16)}`,
      `8${hex.slice(17, 20)}`,
      hex.slice(20, 32),
    ].join("-");
    this.#names.set(uuid, name);
    return uuid;
  }

  nameOf(uuid: string): string {
    return this.#names.get(uuid) ?? uuid;
  }

  /** A job as the database knows it, and as the test does. */
  outward(job: Job): Job {
    const user_id = job.user_id === "anonymous" ? "anonymous" : this.uuidOf(job.user_id);
    const others = Array.isArray(job.depends_on) ? job.depends_on.map((name) => this.uuidOf(String(name))) : undefined;
    return { ...job, id: this.uuidOf(job.id), user_id, ...(others === undefined ? {} : { depends_on: others }) };
  }

  inward(job: Job): Job {
    return { ...job, id: this.nameOf(job.id), user_id: this.nameOf(job.user_id) };
  }

  lease(lease: LeaseKey): LeaseKey {
    return { jobId: this.uuidOf(lease.jobId), token: lease.token, attempt: lease.attempt };
  }
}

/** The source and its queue, for a caller who names jobs and users by words. Nothing else is changed. */
export function namedSource(source: JobSource, names: Names): JobSource {
  return {
    name: source.name,
    leaseSeconds: source.leaseSeconds,
    async take(requests) {
      const outward = requests.map(({ skip, ...request }) => ({
        ...request,
        ...(skip === undefined
          ? {}
          : { skip: skip.map(({ userId, type }) => ({ userId: names.uuidOf(userId), type })) }),
      }));
      const { leases, ends } = await source.take(outward);
      const inward = <Named extends { readonly jobId: string; readonly job: Job }>(each: Named): Named => ({
        ...each,
        jobId: names.nameOf(each.jobId),
        job: names.inward(each.job),
      });
      return { leases: leases.map(inward), ends: ends.map(inward) };
    },
    reported: (ends) => source.reported(ends.map(({ jobId, run }) => ({ jobId: names.uuidOf(jobId), run }))),
    ...(source.announce === undefined ? {} : { announce: (offers) => source.announce?.(offers) ?? Promise.resolve() }),
    renew: (renewals) => source.renew(renewals.map((each) => ({ ...each, lease: names.lease(each.lease) }))),
    async keepLog(log) {
      await source.keepLog?.({ ...log, job_id: names.uuidOf(log.job_id) });
    },
    async noteDeliveries(deliveries) {
      await source.noteDeliveries?.(deliveries.map(({ lease, note }) => ({ lease: names.lease(lease), note })));
    },
    complete: (lease, result) => source.complete(names.lease(lease), result),
    retry: (lease, options) => source.retry(names.lease(lease), options),
    fail: (lease, error) => source.fail(names.lease(lease), error),
    release: (lease, delaySeconds, reason) => source.release(names.lease(lease), delaySeconds, reason),
    cancelled: (lease) => source.cancelled(names.lease(lease)),
    waitForChange: (timeoutMs, signal, what) => source.waitForChange(timeoutMs, signal, what),
    close: () => source.close(),
  };
}

/** @param makeUser is called for each user before a job of theirs is enqueued */
export function namedQueue(queue: JobQueue, names: Names, makeUser: (id: string) => Promise<void>): JobQueue {
  const inward = (record: JobRecord): JobRecord => ({ ...record, job: names.inward(record.job) });
  return {
    async enqueue(job, options) {
      const renamed = names.outward(job);
      if (renamed.user_id !== "anonymous") await makeUser(renamed.user_id);
      const outcome = await queue.enqueue(renamed, options);
      return { ...outcome, jobId: names.nameOf(outcome.jobId) };
    },
    cancel: (jobId) => queue.cancel(names.uuidOf(jobId)),
    redrive: (jobId) => queue.redrive(names.uuidOf(jobId)),
    reprioritize: (jobId, priority) => queue.reprioritize(names.uuidOf(jobId), priority),
    pauseQueue: (worker) => queue.pauseQueue(worker),
    resumeQueue: (worker) => queue.resumeQueue(worker),
    async readLog(jobId, attempt) {
      const log = (await queue.readLog?.(names.uuidOf(jobId), attempt)) ?? null;
      return log === null ? null : { ...log, job_id: names.nameOf(log.job_id) };
    },
    async get(jobId) {
      const record = await queue.get(names.uuidOf(jobId));
      return record === null ? null : inward(record);
    },
    async list({ userId, ...filter }) {
      const page = await queue.list(userId === undefined ? filter : { ...filter, userId: names.uuidOf(userId) });
      return { ...page, jobs: page.jobs.map(inward) };
    },
    waiting: async (worker, limit) => (await queue.waiting(worker, limit)).map(inward),
    stats: () => queue.stats(),
    async match({ userId, ...filter }, page) {
      const found = await queue.match(
        userId === undefined ? filter : { ...filter, userId: names.uuidOf(userId) },
        page,
      );
      return { ...found, jobs: found.jobs.map((job) => ({ ...job, jobId: names.nameOf(job.jobId) })) };
    },
    cancelMany: (jobIds) => queue.cancelMany(jobIds.map((id) => names.uuidOf(id))),
    discard: (jobIds) => queue.discard(jobIds.map((id) => names.uuidOf(id))),
    async failureGroups() {
      return (await queue.failureGroups()).map(({ newest, ...group }) => ({
        ...group,
        newest: newest === null ? null : { ...newest, jobId: names.nameOf(newest.jobId) },
      }));
    },
  };
}
