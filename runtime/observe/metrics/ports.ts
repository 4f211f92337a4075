import { type ErrorCode, PermanentError, toErrorReport } from "#contract/errors.ts";
import type { Callback } from "#runtime/delivery/callbacks/callback.ts";
import type { AssetStore } from "#runtime/delivery/stores/asset-store.ts";
import type { Alarm, Metrics } from "./metrics.ts";

/*
 * Ports as they are, and every call of them measured: what uses a port knows nothing of metrics.
 */
const alarmOf: Readonly<Partial<Record<ErrorCode, Alarm>>> = {
  QUEUE_OVER_QUOTA: "over_quota",
  QUEUE_FULL: "full",
  DISK_FULL: "full",
  CALLBACK_REFUSED: "callback_refused",
  WEBHOOK_REFUSED: "webhook_refused",
  STORAGE_REFUSED: "storage_refused",
  ASSET_REFUSED: "asset_refused",
  ASSET_PATH_REFUSED: "asset_refused",
  UNAUTHORIZED: "access_refused",
  FORBIDDEN: "access_refused",
  // So are credentials called that their server refuses: the configuration holds them.
  CONFIG_INVALID: "access_refused",
};

export type Port = "source" | "store" | "callback" | "webhook";

/** Counts a failed call, and raises the alarm that belongs to its code. */
export function recordFailure(metrics: Pick<Metrics, "errors" | "alarms">, port: Port, error: unknown): void {
  const { code } = toErrorReport(error);
  metrics.errors.add({ port, code });
  const alarm = alarmOf[code];
  if (alarm !== undefined) metrics.alarms.add({ alarm });
}

export function measuredStore(store: AssetStore, metrics: Metrics): AssetStore {
  return {
    name: store.name,
    async put(file, signal) {
      const startedAt = performance.now();
      const observe = (outcome: "stored" | "failed") =>
        metrics.uploadSeconds.observe({ store: store.name, outcome }, secondsSince(startedAt));
      try {
        await store.put(file, signal);
        observe("stored");
      } catch (error) {
        observe("failed");
        recordFailure(metrics, "store", error);
        throw error;
      }
    },
    url: (bucket, path) => store.url(bucket, path),
    removeJob: (folder, signal) => store.removeJob(folder, signal),
  };
}

export function measuredCallback(callback: Callback, metrics: Metrics): Callback {
  return {
    name: callback.name,
    async send(body, signal) {
      const startedAt = performance.now();
      const observe = (outcome: "taken" | "failed" | "refused") =>
        metrics.callbackSeconds.observe(
          { callback: callback.name, status: body.status, outcome },
          secondsSince(startedAt),
        );
      try {
        await callback.send(body, signal);
        observe("taken");
      } catch (error) {
        observe(error instanceof PermanentError ? "refused" : "failed");
        recordFailure(metrics, "callback", error);
        throw error;
      }
    },
  };
}

export function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000;
}
