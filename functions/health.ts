import { workerVersion } from "#runtime/container/version.ts";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { ExecutorStatus } from "#runtime/executor/parent/executor.ts";
import { runnableTypes } from "#runtime/offers/compute-offer.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import { type HealthStatus, health } from "./api/health.ts";
import { defineRoute } from "./http/route.ts";
import { limitsOf, offersAnything } from "./worker/offer-view.ts";

export const healthRoute = defineRoute(health).handle(({ routes }, runtime) => ({
  status: 200,
  body: {
    status: healthOf(runtime),
    qwen_loaded: runtime.executors.get("chat")?.status.heldModels.some((model) => /qwen/i.test(model)) ?? false,
    worker_ready: hasReadyExecutor(runtime),
    timestamp: new Date().toISOString(),
    version: workerVersion,
    capabilities: runnableTypes(runtime.offers.all.values()),
    endpoints: [...new Set(routes.map((route) => route.path))],
    limited: limitsOf(runtime.offers),
  },
}));

/** The part of a container that health and readiness are derived from. */
export interface Vitals {
  readonly executors: ReadonlyMap<string, { readonly status: Pick<ExecutorStatus, "worker" | "state" | "startError"> }>;
  readonly dispatcher: Pick<Dispatcher, "state" | "reachesSource">;
  readonly offers: Pick<Offers, "all" | "conditions" | "checked">;
}

export function hasReadyExecutor({ executors }: Vitals): boolean {
  return [...executors.values()].some(({ status: { state } }) => state === "idle" || state === "busy");
}

export function healthOf({ executors, dispatcher, offers }: Vitals): HealthStatus {
  const all = [...executors.values()].map(({ status }) => status);
  const broken = all.some(({ state, startError }) => state === "waiting" || startError !== null);
  const isImpaired = offers.conditions.some(({ state, isAbsence }) => state === "active" && isAbsence !== true);
  if (isImpaired || (offers.checked === null && !offersAnything(offers))) return "degraded";
  if (broken || !dispatcher.reachesSource || dispatcher.state === "stopped") return "degraded";
  const isStarting = offers.checked !== null || all.some(({ state }) => state === "starting");
  return isStarting ? "starting" : "healthy";
}
