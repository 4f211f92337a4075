import type { z } from "zod";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { dispatcherView } from "../api/schemas/worker-views.ts";

export function viewDispatcher({
  state,
  activeJobs,
}: Pick<Dispatcher, "state" | "activeJobs">): z.output<typeof dispatcherView> {
  return { status: state, active_jobs: activeJobs };
}
