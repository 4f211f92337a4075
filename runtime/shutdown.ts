import type { Config } from "./config.ts";
import type { Delivery } from "./delivery/delivery.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Executor } from "./executor/executor.ts";
import type { JobRunner } from "./job-runner.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import type { Logger } from "./log.ts";
import { within } from "./within.ts";

/*
 * The end of a container, in order, each phase with a limit:
 *
 *   stop taking → let running jobs finish (grace) → release the rest → deliver the outbox → stop executors →
 *   close the server → close the database
 *
 * What does not fit into a limit is not lost: a job's lease runs out, an outbox row is taken up at the next start.
 */
export interface ShutdownParts {
  readonly config: Config;
  readonly log: Logger;
  readonly dispatcher: Dispatcher;
  readonly runner: JobRunner;
  readonly delivery: Delivery;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly keepers: ReadonlyMap<string, LeaseKeeper>;
  /** What people look through, the HTTP server: open while jobs finish, closed before the database is. */
  readonly closeServer: (() => Promise<void>) | undefined;
  close(): Promise<void>;
}

const deliverLimitMs = 10_000;
const executorLimitMs = 2_000;
const takeLimitMs = 5_000;

export async function shutDown(parts: ShutdownParts): Promise<void> {
  const { config, log, dispatcher, runner, delivery, executors, keepers } = parts;
  log.info({ active_jobs: dispatcher.activeJobs }, "stopping: no more jobs are taken");
  await within(takeLimitMs, dispatcher.stop());
  await within(config.shutdownGraceSeconds * 1000, dispatcher.settled());
  if (dispatcher.activeJobs > 0) {
    log.info({ active_jobs: dispatcher.activeJobs }, "stopping: running jobs are given back to their queue");
    runner.releaseAll();
    await within(config.abortGraceSeconds * 1000 + 1000, dispatcher.settled());
  }
  await delivery.stop(deliverLimitMs);
  await Promise.all([...executors.values()].map((executor) => executor.stop(executorLimitMs)));
  for (const keeper of keepers.values()) keeper.close();
  await parts.closeServer?.();
  await parts.close();
  log.info({}, "stopped");
}
