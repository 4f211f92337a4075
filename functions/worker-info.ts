import { createRequire } from "node:module";
import process from "node:process";
import { z } from "zod";
import { inspectModels } from "#runtime/check/models/inspect-models.ts";
import { neededModels } from "#runtime/check/models/needed-models.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { defineRoute } from "./http/route.ts";
import { jobSchema } from "./jobs/job-schema.ts";
import { sharedWhileUnderWay } from "./worker/shared.ts";

const jobType = z.object({
  type: z.string(),
  worker: z.string(),
  /** What it makes. */
  produces: z.enum(["image", "video", "text", "nothing"]),
  description: z.string().nullable(),
  /** The model that it needs unless the job names another one. */
  model: z.string().nullable(),
  /** Parameters that the handler sets where neither the job nor the model does. */
  defaults: z.record(z.string(), z.unknown()),
  max_attempts: z.number().int(),
  /** Seconds that one attempt may take. */
  timeout: z.number(),
  /** Whether its worker runs in this container. */
  runs_here: z.boolean(),
  /** JSON Schema (2020-12) of what is posted to `/jobs`. */
  schema: z.record(z.string(), z.unknown()),
});

const model = z.object({
  name: z.string(),
  aliases: z.array(z.string()),
  size_bytes: z.number(),
  components: z.array(z.string()),
  /** What keeps it from loading. */
  problems: z.array(z.string()),
  /** What may keep it from loading, depending on the handler. */
  warnings: z.array(z.string()),
  /** Job types that use it. */
  needed_by: z.array(z.string()),
  /** Workers that have it loaded. */
  loaded_by: z.array(z.string()),
});

/** GET /worker/info: what this container can do, for forms and for people. */
export const workerInfo = defineRoute({
  method: "GET",
  path: "/worker/info",
  access: "key",
  summary: "Job types with the schemas of their fields, models, versions",
  responses: {
    200: z.object({
      worker_id: z.string(),
      started_at: z.iso.datetime(),
      versions: z.record(z.string(), z.string()),
      /** Where jobs come from; the first one takes those that are posted here. */
      sources: z.array(z.string()),
      workers: z.array(z.string()),
      job_types: z.array(jobType),
      models: z.array(model),
    }),
  },
  errors: ["MODEL_NOT_FOUND", "MODEL_INVALID"],
}).handle(async (_request, runtime) => ({
  status: 200,
  body: {
    worker_id: runtime.config.workerId,
    started_at: new Date(runtime.startedAtMs).toISOString(),
    versions: versions(),
    sources: runtime.config.sources.map(({ name }) => name),
    workers: [...runtime.executors.keys()],
    job_types: describeJobTypes(runtime),
    models: await describeModels(runtime),
  },
}));

function describeJobTypes({ registry, executors }: Runtime): z.output<typeof jobType>[] {
  return registry.all().map((handler) => ({
    type: handler.type,
    worker: handler.worker,
    produces: handler.produces,
    description: handler.description ?? null,
    model: handler.model ?? null,
    defaults: { ...handler.defaults },
    max_attempts: handler.retry.maxAttempts,
    timeout: handler.retry.timeoutSeconds,
    runs_here: executors.has(handler.worker),
    schema: jobSchema(handler),
  }));
}

const describeModels = sharedWhileUnderWay(async ({ config, registry, executors }: Runtime) => {
  const [reports, needed] = await Promise.all([
    inspectModels(config.modelsFolder),
    neededModels(registry, config.modelsFolder),
  ]);
  return reports.map(
    ({ name, aliases, sizeBytes, components, problems, warnings }): z.output<typeof model> => ({
      name,
      aliases: [...aliases],
      size_bytes: sizeBytes,
      components: [...components],
      problems: [...problems],
      warnings: [...warnings],
      needed_by: needed.filter(({ folder }) => folder === name).flatMap(({ neededBy }) => neededBy),
      loaded_by: [...executors.values()]
        .filter(({ status }) => status.heldModels.includes(name))
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
