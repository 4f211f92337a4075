import type { ModelKind } from "#runtime/check/models/model-kinds.ts";
import type { Config } from "#runtime/container/config.ts";
import { findModel, type ModelEntry, readAliases } from "#runtime/executor/models.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";

/** @throws CodedError MODEL_NOT_FOUND, MODEL_INVALID (unreadable aliases.json) */
export async function namedModel(
  { modelsFolder }: Config,
  name: string,
): Promise<ModelEntry & { readonly aliases: string[] }> {
  const entry = await findModel(modelsFolder, name);
  const aliases = Object.entries(await readAliases(modelsFolder));
  return { ...entry, aliases: aliases.filter(([, target]) => target === entry.name).map(([alias]) => alias) };
}

export interface ServedTypes {
  /** Job types that can use the model when a job names it. */
  readonly all: readonly string[];
  /** Those that use it when a job names none. */
  readonly byDefault: readonly string[];
}

/** The job types that a model serves, by the handlers that are there. */
export async function servedTypes(config: Config, folderName: string, kind: ModelKind | null): Promise<ServedTypes> {
  const handlers = (await loadHandlers(config.handlersFolder)).all();
  const all = handlers.filter(({ worker, model }) => model !== undefined && worker === kind?.worker);
  const byDefault: string[] = [];
  for (const { type, model } of all) {
    const own = model === undefined ? null : await findModel(config.modelsFolder, model).catch(() => null);
    if (own?.name === folderName) byDefault.push(type);
  }
  return { all: all.map(({ type }) => type), byDefault };
}
