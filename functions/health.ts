import { z } from "zod";
import { workerVersion } from "#runtime/container/version.ts";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { ExecutorStatus } from "#runtime/executor/parent/executor.ts";
import { defineRoute } from "./http/route.ts";

/*
 * Liveness. Everything here is in memory: the answer does not wait for a disk, a queue or the GPU.
 *
 *   degraded   an executor cannot start or has crashed and waits, a source does not answer, or the container is stopping
 *   starting   an executor is still loading
 *   healthy    none of these
 */
export const healthStatus = z.enum(["healthy", "starting", "degraded"]);

const healthView = z.object({
  status: healthStatus,
  /** Whether the chat executor holds a Qwen model. */
  qwen_loaded: z.boolean(),
  /** Whether an executor could take a job. */
  worker_ready: z.boolean(),
  timestamp: z.iso.datetime(),
  version: z.string(),
  /** Job types. */
  capabilities: z.array(z.string()),
  endpoints: z.array(z.string()),
});

export const health = defineRoute({
  method: "GET",
  path: "/health",
  access: "open",
  summary: "Whether the container is alive, and what it can do",
  responses: { 200: healthView },
}).handle(({ routes }, runtime) => ({
  status: 200,
  body: {
    status: healthOf(runtime),
    qwen_loaded: runtime.executors.get("chat")?.status.heldModels.some((model) => /qwen/i.test(model)) ?? false,
    worker_ready: hasReadyExecutor(runtime),
    timestamp: new Date().toISOString(),
    version: workerVersion,
    capabilities: runtime.registry.types,
    endpoints: [...new Set(routes.map((route) => route.path))],
  },
}));

/** The part of a container that health and readiness are told from. */
export interface Vitals {
  readonly executors: ReadonlyMap<string, { readonly status: Pick<ExecutorStatus, "worker" | "state" | "startError"> }>;
  readonly dispatcher: Pick<Dispatcher, "state" | "reachesSource">;
}

export function hasReadyExecutor({ executors }: Vitals): boolean {
  return [...executors.values()].some(({ status: { state } }) => state === "idle" || state === "busy");
}

export function healthOf({ executors, dispatcher }: Vitals): z.output<typeof healthStatus> {
  const all = [...executors.values()].map(({ status }) => status);
  const broken = all.some(({ state, startError }) => state === "waiting" || startError !== null);
  if (broken || !dispatcher.reachesSource || dispatcher.state === "stopped") return "degraded";
  return all.some(({ state }) => state === "starting") ? "starting" : "healthy";
}
