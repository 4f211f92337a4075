import type { z } from "zod";
import type { WorkerCalls } from "#runtime/calls/called-workers.ts";
import type { callsView } from "../api/schemas/worker-views.ts";

export function viewCalls({ running, waiting, refused }: WorkerCalls): z.output<typeof callsView> {
  if (running === null) return { running, waiting, refused };
  const { isStopping, seconds, ...shown } = running;
  return { running: { ...shown, seconds: Math.round(seconds * 1000) / 1000, stopping: isStopping }, waiting, refused };
}
