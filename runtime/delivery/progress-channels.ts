import type { JobCallback } from "#contract/callback.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Lease, LeaseKey } from "#runtime/sources/job-source.ts";
import type { Callback } from "./callbacks/callback.ts";
import { ProgressChannel } from "./progress-channel.ts";

type Run = Pick<Lease, "jobId" | "run">;

interface KnownChannel {
  readonly token: string;
  readonly run: number;
  readonly channel: ProgressChannel;
  /** Nobody needs it any more but for what is on its way. */
  isForgotten: boolean;
}

/*
 * The progress of every attempt that runs here, by job: the end of a run may be reported here while an attempt of it still
 * does not know that it has lost its lease, or while the last report of an earlier attempt is on its way.
 */
export class ProgressChannels {
  readonly #callback: Callback;
  readonly #log: Logger;
  readonly #byJob = new Map<string, Set<KnownChannel>>();

  constructor(callback: Callback, log: Logger) {
    this.#callback = callback;
    this.#log = log;
  }

  send(lease: Lease, callback: JobCallback): void {
    this.#known(lease).channel.send(callback);
  }

  /** Knows of the attempt from now on, so that the end of its run ends its progress too, of which nothing was sent yet. */
  open(lease: Lease): void {
    this.#known(lease);
  }

  /** Lets no progress of this attempt follow. */
  close(lease: Pick<LeaseKey, "jobId" | "token">): void {
    void this.#find(lease)?.channel.close();
  }

  /** Lets no progress of the run, or of one before it, follow. Resolves when none is on its way any more. */
  async closeRun({ jobId, run }: Run): Promise<void> {
    const channels = [...(this.#byJob.get(jobId) ?? [])].filter((known) => known.run <= run);
    await Promise.all(channels.map(({ channel }) => channel.close()));
  }

  /** Closes the channel of the attempt, which is known from here on as long as something of it is on its way. */
  forget(lease: Pick<LeaseKey, "jobId" | "token">): void {
    const known = this.#find(lease);
    if (known === undefined || known.isForgotten) return;
    known.isForgotten = true;
    void known.channel.close().then(() => this.#remove(lease.jobId, known));
  }

  async closeAll(): Promise<void> {
    const known = [...this.#byJob.values()].flatMap((ofJob) => [...ofJob]);
    await Promise.all(known.map(({ channel }) => channel.close()));
  }

  #find({ jobId, token }: Pick<LeaseKey, "jobId" | "token">): KnownChannel | undefined {
    for (const known of this.#byJob.get(jobId) ?? []) if (known.token === token) return known;
    return undefined;
  }

  #known(lease: Lease): KnownChannel {
    return this.#find(lease) ?? this.#open(lease.jobId, lease.token, lease.run);
  }

  #open(jobId: string, token: string, run: number): KnownChannel {
    const known = { token, run, channel: new ProgressChannel(this.#callback, this.#log), isForgotten: false };
    const ofJob = this.#byJob.get(jobId) ?? new Set();
    this.#byJob.set(jobId, ofJob.add(known));
    return known;
  }

  #remove(jobId: string, known: KnownChannel): void {
    const ofJob = this.#byJob.get(jobId);
    ofJob?.delete(known);
    if (ofJob?.size === 0) this.#byJob.delete(jobId);
  }
}
