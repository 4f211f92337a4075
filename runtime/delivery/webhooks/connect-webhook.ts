import type { Config } from "#runtime/container/config.ts";
import type { StoredFiles } from "../stored-files.ts";
import { Webhook } from "./webhook.ts";

/** The webhooks of a container's jobs. */
export function connectWebhook(
  { webhooks }: Pick<Config, "webhooks">,
  files: Pick<StoredFiles, "address">,
  { trustsEmulated = false } = {},
): Webhook {
  return new Webhook({
    trustsEmulated,
    config: webhooks,
    nowMs: Date.now,
    fileAddress: (bucket, path) => files.address(bucket, path),
  });
}
