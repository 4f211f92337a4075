import type { Executor } from "#runtime/executor/parent/executor.ts";
import { killLeftBehind, recordOwner } from "#runtime/executor/parent/left-behind.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { BeforeWork } from "./assemble.ts";
import type { Config } from "./config.ts";
import { containersFolder, type DataFolder, openDataFolder } from "./data-folder.ts";
import { unknownEndpointTypes } from "./endpoint-types.ts";
import { startExecutors } from "./executors.ts";
import type { Runtime } from "./runtime.ts";

/**
 * Starts a container. Executors come first, because they take longest: what they need is all that this module loads, and
 * the rest is loaded while they boot.
 * @param beforeWork what must succeed before anything is delivered and any job is taken: some queues take no job back.
 *   It resolves with what closes the server that it has made, should the start fail later
 * @throws CodedError HANDLER_INVALID, CONFIG_INVALID (unknown worker, a wrong preset file), DATA_FOLDER_UNUSABLE, DISK_FULL, and
 *   whatever `beforeWork` throws
 */
export async function startRuntime(
  config: Config,
  log: Logger,
  beforeWork: BeforeWork = async () => undefined,
): Promise<Runtime> {
  const startedAtMs = Date.now();
  const { dataFolder, handlersFolder } = config;
  const [registry, folder] = await Promise.all([loadHandlers(handlersFolder), openDataFolder(dataFolder)]);
  for (const { setting, type } of unknownEndpointTypes(config.endpoints, registry))
    log.warn({ setting, type }, `${setting} names the job type ${type}, which no handler has: requests for it fail`);
  const forgetOwner = await takeOver(folder, log);
  let executors = new Map<string, Executor>();
  try {
    executors = startExecutors(config, registry, log);
    const { assemble } = await import("./assemble.ts");
    return await assemble({ config, log, registry, folder, executors, forgetOwner, startedAtMs, beforeWork });
  } catch (error) {
    await Promise.all([...executors.values()].map((executor) => executor.stop(0)));
    await forgetOwner();
    throw error;
  }
}

/**
 * What an earlier container has left running would have the GPU's memory. Resolves with the way to write down that this one is gone.
 */
async function takeOver({ path }: DataFolder, log: Logger): Promise<() => Promise<void>> {
  const folder = containersFolder(path);
  await killLeftBehind(folder, log);
  return await recordOwner(folder, log);
}
