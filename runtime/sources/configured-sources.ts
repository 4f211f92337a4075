import type { Environment } from "#runtime/lib/environment.ts";
import { sourceDefinitions } from "./index.ts";
import type { ConfiguredSource, SharedSettings, SourceDefinition } from "./source-definition.ts";

export const sourceNames: readonly string[] = sourceDefinitions.map(({ name }) => name);

export interface ConfiguredSources {
  /** Those that jobs come from; the first one also takes the jobs that are enqueued here. */
  readonly sources: readonly ConfiguredSource[];
  /** Every one that the environment configures. */
  readonly configuredSources: readonly ConfiguredSource[];
}

export interface ReadSources {
  /** All that is wrong with the variables of all sources. */
  readonly problems: readonly string[];
  /** @param named what `SOURCES` says, nothing for those that are used when they are configured */
  choose(
    named: readonly string[],
    shared: SharedSettings,
  ): ConfiguredSources & { readonly problems: readonly string[] };
}

/** The part of the environment that is the sources'. */
export function readSources(given: Environment): ReadSources {
  const all = sourceDefinitions.map((definition) => ({ definition, read: definition.read(given) }));
  return {
    problems: all.flatMap(({ read }) => read.problems),
    choose(named, shared) {
      const configured = new Map<string, ConfiguredSource>();
      for (const { definition, read } of all) {
        const source = read.configure(shared);
        if (source !== null) configured.set(definition.name, source);
      }
      const names = named.length > 0 ? named : usedUnnamed(configured);
      return {
        problems: all.flatMap(({ definition, read: { problems } }) =>
          problems.length > 0 || configured.has(definition.name) || !names.includes(definition.name)
            ? []
            : [`${missing(definition, given)}: must be set, because SOURCES names ${definition.name}`],
        ),
        sources: [...new Set(names)].flatMap((name) => configured.get(name) ?? []),
        configuredSources: [...configured.values()],
      };
    },
  };
}

function missing({ needs }: SourceDefinition, given: Environment): string | undefined {
  return needs.find((variable) => given[variable] === undefined) ?? needs[0];
}

/** What is configured and says so, else what lies in the data folder. */
function usedUnnamed(configured: ReadonlyMap<string, ConfiguredSource>): readonly string[] {
  const is = (what: (definition: SourceDefinition) => boolean) =>
    sourceDefinitions.filter((one) => configured.has(one.name) && what(one)).map(({ name }) => name);
  const used = is(({ usedWhenConfigured }) => usedWhenConfigured);
  return used.length > 0 ? used : is(({ needs }) => needs.length === 0);
}
