import { z } from "zod";
import type { Runtime } from "#runtime/runtime.ts";
import { HttpError } from "./errors.ts";
import { hasReadyExecutor } from "./health.ts";
import { defineRoute } from "./http/route.ts";

export const ready = defineRoute({
  method: "GET",
  path: "/ready",
  access: "open",
  summary: "Whether the container takes jobs now",
  responses: { 200: z.object({ ready: z.literal(true) }) },
}).handle((_request, runtime) => {
  const obstacle = obstacleOf(runtime);
  if (obstacle !== null) throw obstacle;
  return { status: 200, body: { ready: true } };
});

/** Why no job would be taken now, null when one would. */
function obstacleOf(runtime: Runtime): HttpError | null {
  const { dispatcher, executors } = runtime;
  if (dispatcher.state === "stopped") return new HttpError("SHUTTING_DOWN", "The container is shutting down.");
  if (dispatcher.state === "paused") return new HttpError("NOT_READY", "The container is paused: it takes no jobs.");
  if (!dispatcher.reachesSource) return new HttpError("NOT_READY", "The source of jobs does not answer.");
  if (hasReadyExecutor(runtime)) return null;
  const states = [...executors.values()].map(({ worker, state, startError }) => ({
    worker,
    state,
    error: startError?.message ?? null,
  }));
  const summary = states.map(({ worker, state }) => `${worker} is ${state}`).join(", ");
  return new HttpError("NOT_READY", `No executor can take a job: ${summary}.`, { details: states });
}
