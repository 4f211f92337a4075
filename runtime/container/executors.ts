import { CodedError } from "#contract/errors.ts";
import { Executor } from "#runtime/executor/parent/executor.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Config } from "./config.ts";
import { cacheFolder } from "./data-folder.ts";

/** The executors of this container's workers, each at its start. @throws CodedError CONFIG_INVALID for a worker that no handler has */
export function startExecutors(config: Config, registry: Registry, log: Logger): Map<string, Executor> {
  const executors = chooseWorkers(config, registry).map((worker) => createExecutor(worker, config, log));
  for (const executor of executors) executor.start();
  return new Map(executors.map((executor) => [executor.worker, executor]));
}

function chooseWorkers(config: Config, registry: Registry): readonly string[] {
  // A file that cannot be loaded does not say whose it is.
  if (config.workers.length > 0 && registry.problems.length > 0) return config.workers;
  const unknown = config.workers.filter((worker) => !registry.workers.includes(worker));
  if (unknown.length > 0) {
    throw new CodedError(
      "CONFIG_INVALID",
      `WORKERS names ${unknown.join(", ")}, but the handlers belong to: ${registry.workers.join(", ")}.`,
    );
  }
  return config.workers.length > 0 ? config.workers : registry.workers;
}

export function createExecutor(worker: string, config: Config, log: Logger): Executor {
  return new Executor(
    {
      worker,
      handlersFolder: config.handlersFolder,
      modelsFolder: config.modelsFolder,
      cacheFolder: cacheFolder(config.dataFolder),
      modelMemoryBytes: config.modelMemoryBytes,
      engine: config.engines.get(worker),
      log: { level: config.log.level, format: config.log.format ?? "json" },
    },
    log,
    { restartMaxMs: config.executorRestartMaxSeconds * 1000, stoppedMaxMs: config.leaseSeconds * 1000 },
  );
}
