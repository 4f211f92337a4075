import { z } from "zod";
import { enhancementTargets } from "#contract/enhancement-presets.ts";
import { declareRoute } from "./declare.ts";
import { conditionView, offerView } from "./schemas/worker-views.ts";

const values = z.record(z.string(), z.unknown());

const modelDefaults = z.object({ model: z.string(), defaults: values, by_scheduler: z.record(z.string(), values) });

const jobTypeView = z.object({
  type: z.string(),
  worker: z.string(),
  /** What it makes. */
  produces: z.enum(["image", "video", "text", "nothing"]),
  description: z.string().nullable(),
  /** The model that it needs unless the job names another one. */
  model: z.string().nullable(),
  /** JSON Schema (2020-12) of what is read from `config`; null when the job type declares no parameters. */
  parameters: values.nullable(),
  /** Parameters that apply where neither the job nor the model gives one. */
  defaults: values,
  /** What applies with each model where the job gives nothing, and where it gives only this scheduler. */
  model_defaults: z.array(modelDefaults),
  /** The same for jobs that name a file in this field, where that changes them. */
  input_defaults: z.array(z.object({ field: z.string(), defaults: values, model_defaults: z.array(modelDefaults) })),
  max_attempts: z.number().int(),
  /** Seconds that one attempt may take. */
  timeout: z.number(),
  /** Whether its worker runs in this container. */
  runs_here: z.boolean(),
  /** Whether `/test-compel` says how it reads a prompt. */
  reads_prompts: z.boolean(),
  /** JSON Schema (2020-12) of what is posted to `/jobs`. */
  schema: values,
});

const modelView = z.object({
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

const presetView = z.object({ name: z.string(), description: z.string(), target: z.enum(enhancementTargets) });

export type JobTypeView = z.output<typeof jobTypeView>;
export type PresetView = z.output<typeof presetView>;
export type ModelView = z.output<typeof modelView>;

/** GET /worker/info: what this container can do, for forms and for people. */
export const workerInfo = declareRoute({
  method: "GET",
  path: "/worker/info",
  access: "key",
  summary: "Job types with the schemas of their fields, models, presets, versions",
  responses: {
    200: z.object({
      worker_id: z.string(),
      started_at: z.iso.datetime(),
      versions: z.record(z.string(), z.string()),
      /** Where jobs come from; the first one takes those that are posted here. */
      sources: z.array(z.string()),
      workers: z.array(z.string()),
      job_types: z.array(jobTypeView),
      models: z.array(modelView),
      /** What a prompt can be enhanced by, for each target. */
      presets: z.array(presetView),
      /** What it runs now, by worker. */
      offers: z.record(z.string(), offerView),
      /** What keeps it from running the rest. */
      conditions: z.array(conditionView),
    }),
  },
  errors: ["MODEL_NOT_FOUND", "MODEL_INVALID"],
});
