import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { presetNames, resolveParameters } from "#contract/parameters.ts";
import { readGenerationConfig } from "#runtime/executor/models.ts";
import { classNameOf } from "./class-name.ts";

/* What keeps the jobs of a model folder from running although its files are whole: parts that do not fit each other, a model of another kind, parameters that no job may have. */

export interface Misfits {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * @param users handlers whose model this folder is
 * @param all every handler: jobs may name the folder as their model_variant
 */
export async function misfitsOf(folder: string, users: readonly Handler[], all: readonly Handler[]): Promise<Misfits> {
  const className = await classNameOf(folder);
  const takers = className === null ? [] : all.filter(({ modelCheck }) => modelCheck?.takes(className));
  const handlers = users.length > 0 ? users : takers;
  const reads = new Set(handlers.flatMap(({ modelCheck }) => modelCheck?.read ?? []));
  const problems = await Promise.all([...reads].map((read) => messageOf(read(folder))));
  const unfit = [...problems.filter((problem) => problem !== null), ...(await parameterProblems(folder, handlers))];
  return { problems: [...new Set(unfit)], warnings: handlers.length > 0 ? [] : [foreign(folder, className)] };
}

function foreign(folder: string, className: string | null): string {
  return className === null
    ? `${folder} has no model_index.json and no config.json that says what it is: no job type here uses it`
    : `${folder} is a ${className}: no job type here uses such a model`;
}

/** Of the model's own values: alone, and with each of its sampler presets. */
async function parameterProblems(folder: string, handlers: readonly Handler[]): Promise<string[]> {
  const model = await readGenerationConfig({ path: folder }).catch((error: unknown) => textOf(error));
  if (typeof model === "string") return [model];
  const path = join(folder, "generation_config.json");
  return handlers.flatMap(({ type, parameters, defaults }) => {
    if (parameters === undefined) return [];
    const jobs = [{}, ...presetNames(model).map((scheduler) => ({ scheduler }))];
    return jobs.flatMap((explicit) => {
      try {
        resolveParameters(parameters, { explicit, model, type, handler: defaults });
        return [];
      } catch (error) {
        // A job has to give what is missing, and the registry knows the handler's own faults.
        return error instanceof CodedError && error.code === "MODEL_INVALID" ? [`${path}: ${error.message}`] : [];
      }
    });
  });
}

async function messageOf(reading: Promise<unknown>): Promise<string | null> {
  return reading.then(() => null, textOf);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
