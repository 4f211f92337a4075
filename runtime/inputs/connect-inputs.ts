import type { Config } from "#runtime/container/config.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Inputs } from "./inputs.ts";

/** Reference files for the jobs of a container. The code for them is loaded with the first one: most jobs have none. */
export function connectInputs(
  { inputs: { allowedHosts, cacheBytes }, supabase }: Pick<Config, "inputs" | "supabase">,
  folder: string,
  log: Logger,
): Pick<Inputs, "fetch"> {
  let inputs: Promise<Inputs> | null = null;
  const load = async () => {
    const [{ Inputs }, { InputCache }] = await Promise.all([import("./inputs.ts"), import("./input-cache.ts")]);
    const cache = new InputCache({ folder, maxBytes: cacheBytes, nowMs: Date.now });
    return new Inputs({ allowedHosts, supabase, cache, log });
  };
  return {
    async fetch(request) {
      inputs ??= load();
      return (await inputs).fetch(request);
    },
  };
}
