import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import type { AssetStore } from "./asset-store.ts";
import type { Callback } from "./callback.ts";
import type { CallbackLog } from "./callback-log.ts";
import { HttpCallback, shownEndpoint } from "./http-callback.ts";
import type { LocalAssetStore } from "./local-asset-store.ts";
import { RecordedCallback } from "./recorded-callback.ts";
import { SupabaseAssetStore } from "./supabase-asset-store.ts";

/** Where results go: each of the two by itself, to the app when it is configured, else to the data folder. */
export interface Destinations {
  readonly store: AssetStore;
  readonly callback: Callback;
}

export interface EmbeddedDestinations {
  readonly store: LocalAssetStore;
  readonly callbacks: CallbackLog;
}

export function connectDelivery(
  { supabase: project, callback: endpoint }: Pick<Config, "supabase" | "callback">,
  embedded: EmbeddedDestinations,
  log: Logger,
): Destinations {
  const store = project === null ? embedded.store : new SupabaseAssetStore({ project, log, nowMs: Date.now });
  const callback =
    endpoint === null
      ? embedded.callbacks
      : new RecordedCallback(new HttpCallback({ config: endpoint, project, nowMs: Date.now }), embedded.callbacks);
  log.info(
    {
      store: store.name,
      callback: callback.name,
      ...(project === null ? {} : { storage: project.url }),
      ...(endpoint === null
        ? {}
        : { callback_url: shownEndpoint(endpoint.url), signed: endpoint.secret !== null, assets: endpoint.assets }),
    },
    "results are delivered",
  );
  return { store, callback };
}
