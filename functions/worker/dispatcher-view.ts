import { z } from "zod";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";

/** Whether jobs are taken, and how many run. */
export const dispatcherView = z.object({
  status: z.enum(["running", "paused", "stopped"]),
  active_jobs: z.number().int(),
});

export function viewDispatcher({
  state,
  activeJobs,
}: Pick<Dispatcher, "state" | "activeJobs">): z.output<typeof dispatcherView> {
  return { status: state, active_jobs: activeJobs };
}
