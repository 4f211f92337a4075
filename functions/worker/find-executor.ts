import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import { HttpError } from "../errors.ts";

/** @throws HttpError NOT_FOUND naming the workers that run here */
export function findExecutor({ executors }: Pick<Runtime, "executors">, worker: string): Executor {
  const executor = executors.get(worker);
  if (executor !== undefined) return executor;
  const workers = [...executors.keys()];
  throw new HttpError(
    "NOT_FOUND",
    `There is no worker ${shortened(worker)} here; there are: ${workers.join(", ") || "none"}.`,
    { details: { workers } },
  );
}

/** @throws HttpError SHUTTING_DOWN */
export function requireRunning({ dispatcher }: Pick<Runtime, "dispatcher">): void {
  if (dispatcher.state === "stopped") throw new HttpError("SHUTTING_DOWN", "The container is shutting down.");
}
