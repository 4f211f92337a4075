import process from "node:process";
import { setImmediate as nextTurn } from "node:timers/promises";
import { inspect } from "node:util";
import { toErrorReport } from "#contract/errors.ts";
import type { EngineSettings } from "#runtime/engines/engine-settings.ts";
import { openEngine } from "#runtime/engines/open-engine.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { standardError } from "#runtime/observe/standard-error.ts";
import { executorSettings, type FromExecutor, toExecutor } from "../protocol.ts";
import { killRest, markVariable, SpawnWatch } from "../watchdog/processes.ts";
import { ExecutorProcess } from "./executor-process.ts";
import { loggedError } from "./handler-log.ts";

/*
 * Entry of an executor: the child process in which one worker's handlers run. It owns nothing that must survive it:
 * leases, retries and delivery belong to the dispatcher process, and when that is gone, so is the executor.
 */
const settings = executorSettings.parse(JSON.parse(process.argv[2] ?? "null"));
const log = await createLogger(settings.log, { executor: settings.worker, pid: process.pid });

// The dispatcher decides when an executor ends; a terminal's Ctrl-C or a stray SIGTERM must not cost a job its attempt.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
// The container may be gone, and its watchdog too: what handlers have started goes first.
process.on("disconnect", () => void killSpawned().finally(() => process.exit(0)));

function send(message: FromExecutor): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, undefined, undefined, () => resolve());
  });
}

const spawns = new SpawnWatch();

/** After a find, the ends of so many attempts look again: something may have slipped through. */
const looksAfterFind = 3;
let looksDue = 0;

/** The look for those that have left this process costs milliseconds: for attempts that went wrong, and after others were started. */
async function killProcesses(thoroughly: boolean): Promise<number> {
  const isLikely = spawns.hasSpawned() || looksDue > 0;
  if (!isLikely && !thoroughly) return 0;
  looksDue = Math.max(0, looksDue - 1);
  const processes = await killSpawned(!isLikely);
  if (processes > 0) looksDue = looksAfterFind;
  return processes;
}

/** Resolves with how many there were. */
async function killSpawned(isUnlikely = false): Promise<number> {
  // biome-ignore lint/style/noProcessEnv: no setting: what marks this process and all that it starts
  const mark = process.env[markVariable];
  return mark === undefined ? 0 : await killRest({ pid: process.pid, mark }, process.pid, isUnlikely);
}

/** What the command starts is found by the mark, however it leaves this process. */
function marked(engine: EngineSettings): EngineSettings {
  // biome-ignore lint/style/noProcessEnv: no setting: what marks this process and all that it starts
  const mark = process.env[markVariable];
  return mark === undefined ? engine : { ...engine, environment: { ...engine.environment, [markVariable]: mark } };
}

/** What Node.js does with an error that nobody caught. */
function crash(error: unknown): never {
  process.stderr.write(`${inspect(loggedError(error))}\n`);
  process.exit(1);
}

function print(text: string): void {
  process.stdout.write(text);
  standardError().write(text);
}

try {
  const registry = await loadHandlers(settings.handlersFolder, { checksCalls: false });
  const engine = settings.engine === undefined ? undefined : await openEngine(marked(settings.engine));
  const executor = new ExecutorProcess({ registry, settings, engine, log, send, killProcesses, crash, print });
  process.on("unhandledRejection", (error) => executor.uncaught(error));
  process.on("uncaughtException", (error) => executor.uncaught(error));
  process.on("message", (message) => {
    const parsed = toExecutor.safeParse(message);
    if (!parsed.success) log.error({ error: parsed.error }, "a message from the dispatcher is not understood");
    else if (parsed.data.kind === "stop") void executor.stop().then(() => process.disconnect());
    else executor.receive(parsed.data);
  });
  const types = registry.types.filter((type) => registry.get(type)?.worker === settings.worker);
  const problems = registry.problems.map(({ type, problem }) => ({ type, problem }));
  await send({ kind: "ready", types, problems });
} catch (error) {
  await send({ kind: "unusable", error: toErrorReport(error, "HANDLER_INVALID") });
  await nextTurn();
  process.exit(1);
}
