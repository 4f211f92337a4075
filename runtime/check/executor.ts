import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { createExecutor } from "#runtime/container/executors.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import { createLogger } from "#runtime/observe/log.ts";

const startLimitMs = 60_000;
const stopLimitMs = 2000;

/** Starts the worker's executor until it is ready for a job: its handlers load and the native libraries do too. */
export async function tryExecutor(worker: string, config: Config): Promise<{ value: null; message: string }> {
  const log = { level: "silent", format: "json" } as const;
  const executor = createExecutor(worker, { ...config, log }, await createLogger(log));
  const startedAtMs = performance.now();
  const state = await stateAfterStart(executor);
  const { startError } = executor.status;
  await executor.stop(stopLimitMs);
  const engine = config.engines.get(worker);
  const run = engine === undefined ? "" : `, runs ${engine.command.join(" ")}`;
  if (state === "idle")
    return { value: null, message: `ready after ${Math.round(performance.now() - startedAtMs)} ms${run}` };
  throw new CodedError(
    startError?.code ?? "EXECUTOR_CRASHED",
    startError?.message ?? `The executor of ${worker} ${state === "waiting" ? "died at its start" : "does not start"}.`,
  );
}

async function stateAfterStart(executor: Executor): Promise<"idle" | "waiting" | "late"> {
  const { promise, resolve } = Promise.withResolvers<"idle" | "waiting" | "late">();
  const limit = setTimeout(() => resolve("late"), startLimitMs);
  executor.on("state", (state) => {
    if (state === "idle" || state === "waiting") resolve(state);
  });
  executor.start();
  const state = await promise;
  clearTimeout(limit);
  return state;
}
