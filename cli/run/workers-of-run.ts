import type { Handler } from "#contract/handler.ts";
import type { Job } from "#contract/job.ts";
import { workersFor } from "#runtime/job-types/call-graph.ts";

/** What image and video handlers call for a prompt that is to be enhanced, and for nothing else. */
const enhancing: ReadonlySet<string> = new Set(["enhance_instruct", "enhance_base"]);

type Planned = { readonly job: Job; readonly handler: Handler };

/**
 * The workers that a job needs here: those that its handlers may call too. For a job whose prompt stays as it is the language model's
 * process is not started.
 */
export function workersOfRun({ job, handler }: Planned, handlers: readonly Handler[]): readonly string[] {
  const calls = handlers.filter(({ worker }) => worker === handler.worker).flatMap((each) => each.calls ?? []);
  const isEnhanced = (job.config.enhance_prompt ?? handler.defaults?.enhance_prompt ?? false) !== false;
  const callsNobody = !isEnhanced && calls.every((type) => enhancing.has(type));
  return callsNobody ? [handler.worker] : workersFor(handler.type, handlers);
}
