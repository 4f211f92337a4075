import type { Config } from "#runtime/container/config.ts";
import { publicAddress } from "#runtime/heartbeat/public-address.ts";
import type { AssetStore } from "../stores/asset-store.ts";
import { Webhook } from "./webhook.ts";

/** The webhooks of a container's jobs. Files of the data folder have an address where the container has a public one. */
export function connectWebhook(
  { webhooks, http, podId }: Pick<Config, "webhooks" | "http" | "podId">,
  store: Pick<AssetStore, "url">,
): Webhook {
  const base = publicAddress({ publicUrl: http.publicUrl, podId }, http.port)?.url.replace(/\/+$/, "") ?? null;
  return new Webhook({
    config: webhooks,
    nowMs: Date.now,
    async fileAddress(bucket, path) {
      const address = await store.url(bucket, path);
      if (address === null || !address.startsWith("/")) return address;
      return base === null ? null : `${base}${address}`;
    },
  });
}
