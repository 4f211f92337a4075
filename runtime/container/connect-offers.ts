import type { Handler } from "#contract/handler.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { steadyNowMs } from "#runtime/lib/steady-clock.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { Offers } from "#runtime/offers/offers.ts";
import type { JobSource } from "#runtime/sources/job-source.ts";
import type { Config } from "./config.ts";
import { createExecutor } from "./executors.ts";
import { fetchReport, type ModelFetches } from "./model-fetches.ts";

export interface OfferParts {
  readonly config: Config;
  readonly log: Logger;
  readonly registry: Registry;
  readonly executors: Map<string, Executor>;
  readonly sources: readonly JobSource[];
  readonly fetches: Pick<ModelFetches, "pending">;
  /** A handler has come, or was mended. */
  onHandler(handler: Handler): void;
  /** An executor has come, because a handler has whose worker did not run here. */
  onExecutor(executor: Executor): void;
}

/** The maximum that a handler may allow a job: 24 hours. */
const maxJobMs = 86_400_000;

/** The offers, and what follows for the executors when handlers come or a device is lost. */
export function connectOffers({
  config,
  log,
  registry,
  executors,
  sources,
  fetches,
  onHandler,
  onExecutor,
}: OfferParts): Offers {
  /** A job that runs is let finish. */
  const restart = (worker: string) => {
    executors
      .get(worker)
      ?.restart(maxJobMs)
      .catch((error: unknown) => log.error({ error, executor: worker }, "a restart failed"));
  };
  const startWorker = (worker: string) => {
    if (config.workers.length > 0 && !config.workers.includes(worker)) return;
    const executor = createExecutor(worker, config, log);
    executors.set(worker, executor);
    offers.watch(executor);
    onExecutor(executor);
    executor.start();
  };
  const offers = new Offers({
    registry,
    executors,
    sources,
    handlersFolder: config.handlersFolder,
    onProblem: config.onHandlerProblem,
    modelsFolder: config.modelsFolder,
    engines: config.engines,
    log,
    nowMs: steadyNowMs,
    comingOf(name) {
      const fetch = fetches.pending.get(name);
      return fetch === undefined ? null : fetchReport(fetch);
    },
    restart,
    onHandler(handler) {
      onHandler(handler);
      if (executors.has(handler.worker)) restart(handler.worker);
      else startWorker(handler.worker);
    },
  });
  return offers;
}
