import { join } from "node:path";
import type { Handler } from "#contract/handler.ts";
import { inputAddress } from "#contract/input-address.ts";
import { inputFieldsOf } from "#contract/input-fields.ts";
import { defaultParameters, presetNames } from "#contract/parameters.ts";
import type { JsonObject } from "#contract/synonyms.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { readGenerationConfig } from "#runtime/executor/models.ts";
import type { JobTypeView } from "../api/worker-info.ts";
import { jobSchema, parametersSchema } from "../jobs/job-schema.ts";

/* A job type as `GET /worker/info` describes it, for forms and for people. */

/** @param models names of the folders in the models folder */
export async function viewJobTypes(
  { registry, executors, config }: Pick<Runtime, "registry" | "executors" | "config">,
  models: readonly string[],
): Promise<JobTypeView[]> {
  const configs = await Promise.all(models.map((name) => readModel(config.modelsFolder, name)));
  const known = configs.filter((each) => each !== null);
  return registry.all().map((handler) => ({
    type: handler.type,
    worker: handler.worker,
    produces: handler.produces,
    description: handler.description ?? null,
    model: handler.model ?? null,
    parameters: parametersSchema(handler),
    defaults: defaultsOf(handler),
    model_defaults: modelDefaultsOf(handler, known),
    input_defaults: inputDefaultsOf(handler, known),
    max_attempts: handler.retry.maxAttempts,
    timeout: handler.retry.timeoutSeconds,
    runs_here: executors.has(handler.worker),
    reads_prompts: handler.readPrompt !== undefined,
    schema: jobSchema(handler),
  }));
}

interface ModelDefaults {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Null for one that cannot be read: the list of models says what is wrong with it. */
async function readModel(modelsFolder: string, name: string): Promise<ModelDefaults | null> {
  return readGenerationConfig({ path: join(modelsFolder, name) }).then(
    (config) => ({ name, config }),
    () => null,
  );
}

function modelDefaultsOf(handler: Handler, models: readonly ModelDefaults[]): JobTypeView["model_defaults"] {
  return handler.model === undefined ? [] : models.map((model) => defaultsWith(handler, model));
}

/** What becomes of the defaults when a file is named, field by field. */
function inputDefaultsOf(handler: Handler, models: readonly ModelDefaults[]): JobTypeView["input_defaults"] {
  return inputFieldsOf(handler).flatMap(({ path, takes }) => {
    const changed = takes === "weights" ? undefined : handler.defaultsFor?.(jobWith(path));
    if (changed === undefined) return [];
    const other = { ...handler, defaults: { ...handler.defaults, ...changed } };
    return [{ field: path.join("."), defaults: defaultsOf(other), model_defaults: modelDefaultsOf(other, models) }];
  });
}

/** A job that names some file there, and has nothing else. */
function jobWith([part = "", name = ""]: readonly string[]): Readonly<JsonObject> {
  return { config: {}, metadata: {}, [part]: name === "" ? anyFile : { [name]: anyFile } };
}

const anyFile = inputAddress("0".repeat(64));

function defaultsWith(handler: Handler, { name, config }: ModelDefaults): JobTypeView["model_defaults"][number] {
  const withPreset = (scheduler: string) => [scheduler, defaultsOf(handler, config, scheduler)] as const;
  return {
    model: name,
    defaults: defaultsOf(handler, config),
    by_scheduler: Object.fromEntries(presetNames(config).map(withPreset)),
  };
}

function defaultsOf(
  { type, parameters, defaults }: Handler,
  model: ModelDefaults["config"] = {},
  scheduler?: string,
): Record<string, unknown> {
  if (parameters === undefined) return { ...defaults };
  return defaultParameters(parameters, { type, model, handler: defaults, explicit: { scheduler } });
}
