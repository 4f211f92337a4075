import type { Config } from "#runtime/container/config.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { FetchedFile, InputRequest } from "./input-request.ts";
import type { Inputs } from "./inputs.ts";
import { type InputKind, inputLimits, weightLimits } from "./limits.ts";

/** Fetches what jobs name, each kind within its own limits. */
export interface JobInputs {
  /** @throws what {@link Inputs.fetch} throws */
  fetch(request: InputRequest & { readonly content: InputKind }): Promise<FetchedFile>;
}

/** Reference files for the jobs of a container. The code for them is loaded with the first one: most jobs have none. */
export function connectInputs(
  { inputs, supabase }: Pick<Config, "inputs" | "supabase">,
  folders: { readonly inputs: string; readonly loras: string },
  uploads: Pick<LocalAssetStore, "locate">,
  log: Logger,
): JobInputs {
  const { allowedHosts } = inputs;
  const load = async (content: InputKind) => {
    const [{ Inputs }, { InputCache }] = await Promise.all([import("./inputs.ts"), import("./input-cache.ts")]);
    const weights = content === "weights";
    const folder = weights ? folders.loras : folders.inputs;
    const maxBytes = weights ? inputs.loraCacheBytes : inputs.cacheBytes;
    const limits = weights ? weightLimits(inputs.maxLoraBytes) : { ...inputLimits, sizeBytes: inputs.maxInputBytes };
    const cache = new InputCache({ folder, maxBytes, nowMs: Date.now });
    return new Inputs({ allowedHosts, supabase, cache, uploads, log, limits });
  };
  const loaded = new Map<InputKind, Promise<Inputs>>();
  return {
    async fetch(request) {
      const known = loaded.get(request.content) ?? load(request.content);
      loaded.set(request.content, known);
      return (await known).fetch(request);
    },
  };
}
