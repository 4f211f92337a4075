import { CodedError } from "#contract/errors.ts";
import type { Engines } from "#runtime/engines/engine-settings.ts";
import { findModel, readAliases } from "#runtime/executor/models.ts";
import type { Registry } from "#runtime/job-types/registry.ts";

/** A model that handlers name, and the folder that stands for it. */
export interface NeededModel {
  readonly model: string;
  readonly neededBy: readonly string[];
  /** Real name of the folder that stands for it, also while that is missing; null when there is none. */
  readonly folder: string | null;
  /** Why it is missing and what to do; null when it is there. With a `folder`, an alias says that it should be there. */
  readonly problem: string | null;
}

/**
 * Every model that a handler names, with the job types that do, found as an executor would find it. Those of a worker whose
 * jobs a command runs are none of this machine's folders.
 */
export async function neededModels(
  registry: Registry,
  { modelsFolder, engines }: { readonly modelsFolder: string; readonly engines: Engines },
): Promise<NeededModel[]> {
  const named = registry
    .all()
    .filter(({ worker }) => !engines.has(worker))
    .flatMap(({ type, model }) => (model === undefined ? [] : [{ type, model }]));
  const byModel = Map.groupBy(named, ({ model }) => model);
  // What is wrong with the file itself is said of each model that is looked for.
  const aliases = await readAliases(modelsFolder).catch((): Readonly<Record<string, string>> => ({}));
  return Promise.all(
    [...byModel].map(async ([model, handlers]) => {
      const neededBy = handlers.map(({ type }) => type).sort();
      try {
        return { model, neededBy, folder: (await findModel(modelsFolder, model)).name, problem: null };
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        return { model, neededBy, folder: aliases[model] ?? null, problem: error.message };
      }
    }),
  );
}
