import type { Config } from "#runtime/container/config.ts";
import type { UploadStore } from "#runtime/inputs/uploads/uploads.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Callback } from "./callbacks/callback.ts";
import type { CallbackLog } from "./callbacks/callback-log.ts";
import { HttpCallback, shownEndpoint } from "./callbacks/http-callback.ts";
import { RecordedCallback } from "./callbacks/recorded-callback.ts";
import { type StoredFiles, storedFiles } from "./stored-files.ts";
import type { AssetStore, FileReader } from "./stores/asset-store.ts";
import type { LocalAssetStore } from "./stores/local-asset-store.ts";
import { SupabaseAssetStore } from "./stores/supabase-asset-store.ts";
import { connectWebhook } from "./webhooks/connect-webhook.ts";
import type { Webhook } from "./webhooks/webhook.ts";

/** Where results go: each of the two by itself, to the app when it is configured, else to the data folder. */
export interface Destinations {
  readonly store: AssetStore & UploadStore & FileReader;
  readonly callback: Callback;
  /** What is in the store, for who reports it. */
  readonly stored: StoredFiles;
  /** Addresses that jobs name themselves. */
  readonly webhook: Webhook;
}

export interface EmbeddedDestinations {
  readonly store: LocalAssetStore;
  readonly callbacks: CallbackLog;
}

export function connectDelivery(
  config: Pick<Config, "supabase" | "callback" | "webhooks" | "http" | "podId">,
  embedded: EmbeddedDestinations,
  log: Logger,
): Destinations {
  const { supabase: project, callback: endpoint } = config;
  const store = project === null ? embedded.store : new SupabaseAssetStore({ project, log, nowMs: Date.now });
  const callback =
    endpoint === null
      ? embedded.callbacks
      : new RecordedCallback(new HttpCallback({ config: endpoint, project, nowMs: Date.now }), embedded.callbacks, log);
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
  const stored = storedFiles(config, store);
  return { store, callback, stored, webhook: connectWebhook(config, stored) };
}
