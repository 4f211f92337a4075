import { createRequire } from "node:module";
import process from "node:process";
import { z } from "zod";
import { inspectModels } from "#runtime/check/models/inspect-models.ts";
import { neededModels } from "#runtime/check/models/needed-models.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { type ModelView, workerInfo } from "./api/worker-info.ts";
import { defineRoute } from "./http/route.ts";
import { viewJobTypes } from "./worker/job-type-view.ts";
import { viewCondition, viewOffer } from "./worker/offer-view.ts";
import { sharedWhileUnderWay } from "./worker/shared.ts";

export const workerInfoRoute = defineRoute(workerInfo).handle(async (_request, runtime) => {
  const models = await describeModels(runtime);
  const body = {
    worker_id: runtime.config.workerId,
    started_at: new Date(runtime.startedAtMs).toISOString(),
    versions: versions(),
    sources: runtime.config.sources.map(({ name }) => name),
    workers: [...runtime.executors.keys()],
    job_types: await viewJobTypes(
      runtime,
      models.map(({ name }) => name),
    ),
    models,
    presets: runtime.presets.all.map(({ name, description, target }) => ({ name, description, target })),
    offers: Object.fromEntries([...runtime.offers.all].map(([worker, offer]) => [worker, viewOffer(offer)])),
    conditions: runtime.offers.conditions.map(viewCondition),
  };
  return { status: 200, body };
});

const describeModels = sharedWhileUnderWay(async ({ config, registry, executors }: Runtime) => {
  const [reports, needed] = await Promise.all([
    inspectModels(config.modelsFolder, registry),
    neededModels(registry, config),
  ]);
  return reports.map(
    ({ name, aliases, sizeBytes, components, problems, warnings }): ModelView => ({
      name,
      aliases: [...aliases],
      size_bytes: sizeBytes,
      components: [...components],
      problems: [...problems],
      warnings: [...warnings],
      needed_by: needed.filter(({ folder }) => folder === name).flatMap(({ neededBy }) => neededBy),
      loaded_by: [...executors.values()]
        // A worker may know its model by another name.
        .filter(({ status }) => status.heldModels.some((held) => held === name || aliases.includes(held)))
        .map((each) => each.worker),
    }),
  );
});

/** Versions are pinned, so what package.json says is what is installed. */
const { dependencies } = z
  .object({ dependencies: z.object({ hono: z.string(), "onnxruntime-node": z.string(), sharp: z.string() }) })
  .parse(createRequire(import.meta.url)("../package.json"));

function versions(): Record<string, string> {
  return { worker: workerVersion, node: process.versions.node, ...dependencies };
}
