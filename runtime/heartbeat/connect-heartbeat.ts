import type { Config } from "#runtime/container/config.ts";
import { workerVersion } from "#runtime/container/version.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { runnableTypes } from "#runtime/offers/compute-offer.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import { EdgeRegistrar } from "./edge-registrar.ts";
import { Heartbeat } from "./heartbeat.ts";
import { ownTypes } from "./own-types.ts";
import { publicAddress } from "./public-address.ts";
import { checkPublicAddress } from "./self-check.ts";

export interface HeartbeatParts {
  readonly config: Config;
  readonly log: Logger;
  readonly offers: Pick<Offers, "all">;
  readonly registry: Pick<Registry, "all">;
  /** Workers that run here. */
  readonly workers: readonly string[];
}

/** The heartbeat of a container that serves this port; null when there is none, and the log has the reason. */
export function connectHeartbeat(
  { config, log, offers, registry, workers }: HeartbeatParts,
  port: number,
): Heartbeat | null {
  const { supabase: project, heartbeatSeconds: everySeconds, workerId, podId, http } = config;
  const address = publicAddress({ publicUrl: http.publicUrl, podId }, port);
  if (project === null) {
    if (address !== null)
      log.info({ url: address.url }, "not registered anywhere: SUPABASE_URL and SUPABASE_SERVICE_KEY are not set");
    return null;
  }
  if (address === null) {
    log.info(
      {},
      "not registered: neither PUBLIC_URL nor RUNPOD_POD_ID tells at which address this container is reached",
    );
    return null;
  }
  if (everySeconds === 0) {
    log.info({ url: address.url }, "not registered: HEARTBEAT_SECONDS is 0");
    return null;
  }
  return new Heartbeat({
    registrar: new EdgeRegistrar({ project, nowMs: Date.now }),
    container: {
      workerId,
      ...address,
      version: workerVersion,
      /** As at the beat. */
      get capabilities() {
        return [...new Set([...workers, ...runnableTypes(offers.all.values())])];
      },
      get jobTypes() {
        return ownTypes(registry.all());
      },
    },
    everySeconds,
    log,
    checkAddress: checkPublicAddress,
    random: Math.random,
  });
}
