import type { Offer } from "#runtime/sources/job-source.ts";

/** A model by one of its names. */
export interface ModelFacts {
  /** Real name of its folder. */
  readonly folder: string;
  /** What keeps it from loading; empty when nothing is known to. */
  readonly problems: readonly string[];
  /** Changes with the files. */
  readonly signature: string;
}

export interface OfferFacts {
  /** What the worker's handlers are that work. */
  readonly handlers: readonly { readonly type: string; readonly model?: string | undefined }[];
  /** By every name and alias under which a model may be asked for. */
  readonly models: ReadonlyMap<string, ModelFacts>;
  /** Of this worker: what is not to be run now. Models by the names of their folders. */
  readonly withheld: {
    readonly worker: boolean;
    readonly types: ReadonlySet<string>;
    readonly models: ReadonlySet<string>;
  };
}

export const emptyOffer: Offer = { types: [], defaultModelTypes: [], models: [] };

export function computeOffer({ handlers, models, withheld }: OfferFacts): Offer {
  if (withheld.worker) return emptyOffer;
  const offered = [...models]
    .filter(([, { folder, problems }]) => problems.length === 0 && !withheld.models.has(folder))
    .map(([name]) => name);
  const hasModel = (name: string | undefined) => name === undefined || offered.includes(name);
  const working = handlers.filter(({ type }) => !withheld.types.has(type));
  return {
    types: working.map(({ type }) => type).sort(),
    defaultModelTypes: working
      .filter(({ model }) => hasModel(model))
      .map(({ type }) => type)
      .sort(),
    models: offered.sort(),
  };
}

/** Job types whose jobs run when they name no model. */
export function runnableTypes(offers: Iterable<Offer>): string[] {
  return [...new Set([...offers].flatMap(({ defaultModelTypes }) => defaultModelTypes))].sort();
}

/** What a job needs of a container. */
export interface JobToRun {
  readonly type: string;
  readonly model_variant?: string | null | undefined;
}

/** The rule of the port: what sources hold to as well. */
export function isCovered({ types, defaultModelTypes, models }: Offer, job: JobToRun): boolean {
  if (!types.includes(job.type)) return false;
  const { model_variant: named } = job;
  return named === undefined || named === null ? defaultModelTypes.includes(job.type) : models.includes(named);
}
