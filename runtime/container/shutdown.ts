import type { Calls } from "#runtime/calls/calls.ts";
import type { Delivery } from "#runtime/delivery/delivery.ts";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { JobRunner } from "#runtime/dispatch/job-runner.ts";
import type { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import type { Heartbeat } from "#runtime/heartbeat/heartbeat.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import type { Config } from "./config.ts";

/*
 * The end of a container, in order, each phase with a limit:
 *
 *   stop taking, refuse calls, withdraw the offer → let what runs finish (grace) → release the rest → deliver the outbox → deregister →
 *   stop executors → close the server → close the database
 *
 * What does not fit into a limit is not lost: a job's lease runs out, an outbox row is taken up at the next start.
 */
export interface ShutdownParts {
  readonly config: Config;
  readonly log: Logger;
  readonly dispatcher: Dispatcher;
  readonly runner: JobRunner;
  readonly calls: Pick<Calls, "active" | "close" | "settled" | "release">;
  readonly delivery: Delivery;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly offers: Pick<Offers, "stop">;
  readonly keepers: ReadonlyMap<string, LeaseKeeper>;
  /** Null when the container is not registered anywhere. */
  readonly heartbeat: Pick<Heartbeat, "stop" | "deregister"> | null;
  /** What people look through, the HTTP server: open while jobs finish, closed before the database is. */
  readonly closeServer: (() => Promise<void>) | undefined;
  close(): Promise<void>;
}

const deliverLimitMs = 10_000;
const executorLimitMs = 2_000;
const takeLimitMs = 5_000;
const deregisterLimitMs = 6_000;
const closeLimitMs = 10_000;

export async function shutDown(parts: ShutdownParts): Promise<void> {
  const { config, log, dispatcher, runner, calls, delivery, executors, offers, keepers, heartbeat } = parts;
  /** What fails or takes too long is logged, and the next phase comes. */
  const phase = async (name: string, limitMs: number, work: () => Promise<unknown>) => {
    await within(limitMs, work()).catch((error: unknown) =>
      log.error({ error, phase: name }, "a phase of the stop failed"),
    );
  };
  const active = () => ({ active_jobs: dispatcher.activeJobs, active_calls: calls.active });
  const finished = () => Promise.all([dispatcher.settled(), calls.settled()]);
  log.info(active(), "stopping: no more jobs are taken");
  calls.close();
  await phase("stop taking", takeLimitMs, () => Promise.all([dispatcher.stop(), offers.stop(), heartbeat?.stop()]));
  await phase("finish", config.shutdownGraceSeconds * 1000, finished);
  if (dispatcher.activeJobs + calls.active > 0) {
    log.info(active(), "stopping: running jobs are given back to their queue");
    runner.release();
    calls.release();
    await phase("release", config.abortGraceSeconds * 1000 + 1000, finished);
  }
  await phase("deliver", deliverLimitMs + 3000, () => delivery.stop(deliverLimitMs));
  await phase("deregister", deregisterLimitMs, async () => heartbeat?.deregister());
  await phase("stop executors", executorLimitMs + 3000, () =>
    Promise.all([...executors.values()].map((executor) => executor.stop(executorLimitMs))),
  );
  for (const keeper of keepers.values()) keeper.close();
  await phase("close the server", closeLimitMs, async () => parts.closeServer?.());
  await phase("close the database", closeLimitMs, () => parts.close());
  log.info({}, "stopped");
}
