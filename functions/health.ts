import { type Problem, type ProblemParts, problemsOf } from "#runtime/container/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { workerVersion } from "#runtime/container/version.ts";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import { runnableTypes } from "#runtime/offers/compute-offer.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import { type HealthStatus, health } from "./api/health.ts";
import { defineRoute } from "./http/route.ts";
import { limitsOf, offersAnything } from "./worker/offer-view.ts";

export const healthRoute = defineRoute(health).handle(({ routes }, runtime) => ({
  status: runtime.dispatcher.failure === null ? 200 : 503,
  body: {
    status: healthOf(runtime),
    qwen_loaded: (runtime.executors.get("chat")?.status.heldModels.length ?? 0) > 0,
    worker_ready: hasReadyExecutor(runtime),
    timestamp: new Date().toISOString(),
    version: workerVersion,
    capabilities: runnableTypes(runtime.offers.all.values()),
    endpoints: [...new Set(routes.map((route) => route.path))],
    calls: callsOf(runtime),
    problems: problemsOf(runtime).map(viewProblem),
    limited: limitsOf(runtime.offers),
  },
}));

function callsOf({ calls, executors }: Pick<Runtime, "calls" | "executors">) {
  const waiting = [...executors.keys()].reduce((sum, worker) => sum + calls.waiting(worker), 0);
  return { running: calls.active, waiting };
}

export function viewProblem({ part, subject, code, sinceMs, summary }: Problem) {
  return { part, subject, code, since: sinceMs === null ? null : new Date(sinceMs).toISOString(), summary };
}

/** The part of a container that health and readiness are derived from. */
export interface Vitals extends ProblemParts {
  readonly dispatcher: Pick<Dispatcher, "state" | "troubles" | "failure">;
  readonly warmUp: { readonly isDone: boolean };
  readonly offers: Pick<Offers, "all" | "conditions" | "checked">;
}

export function hasReadyExecutor({ executors }: Pick<Vitals, "executors">): boolean {
  return [...executors.values()].some(({ status: { state } }) => state === "idle" || state === "busy");
}

export function healthOf(vitals: Vitals): HealthStatus {
  const { executors, dispatcher, offers } = vitals;
  const isImpaired = offers.conditions.some(({ state, isAbsence }) => state === "active" && isAbsence !== true);
  if (isImpaired || (offers.checked === null && !offersAnything(offers))) return "degraded";
  if (dispatcher.state === "stopped" || problemsOf(vitals).length > 0) return "degraded";
  const isStarting =
    dispatcher.state === "starting" ||
    !vitals.warmUp.isDone ||
    vitals.fetches.pending.size > 0 ||
    offers.checked !== null ||
    [...executors.values()].some(({ status }) => status.state === "starting");
  return isStarting ? "starting" : "healthy";
}
