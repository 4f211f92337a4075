import { problemsOf } from "#runtime/container/problems.ts";
import { workerStatus } from "./api/worker-status.ts";
import { healthOf, viewProblem } from "./health.ts";
import { defineRoute } from "./http/route.ts";
import { viewCalls } from "./worker/calls-view.ts";
import { viewExecutor } from "./worker/executor-view.ts";
import { viewCondition, viewOffer, viewQuarantined } from "./worker/offer-view.ts";

export const workerStatusRoute = defineRoute(workerStatus).handle(async (_request, runtime) => {
  const [gpus, workers] = await Promise.all([
    runtime.gpu.read(),
    Promise.all(
      [...runtime.executors.values()].map(async ({ worker, status }) => ({
        ...(await viewExecutor(status, Date.now())),
        calls: viewCalls(runtime.calls.of(worker)),
        offer: viewOffer(runtime.offers.of(worker)),
      })),
    ),
  ]);
  const gpu = gpus?.[0];
  const names = [...runtime.executors.keys()];
  return {
    status: 200,
    body: {
      status: healthOf(runtime),
      dispatcher: runtime.dispatcher.state,
      problems: problemsOf(runtime).map((problem) => ({ ...viewProblem(problem), message: problem.message })),
      workers: Object.fromEntries(workers.map((worker, index) => [names[index] ?? "", worker])),
      conditions: runtime.offers.conditions.map(viewCondition),
      quarantine: runtime.offers.quarantined.map(viewQuarantined),
      system: {
        gpu_memory_total: gpu?.memoryTotalBytes ?? null,
        gpu_memory_used: gpu?.memoryUsedBytes ?? null,
        gpu_utilization: gpu?.utilizationPercent ?? null,
        active_jobs: runtime.dispatcher.activeJobs,
      },
    },
  };
});
