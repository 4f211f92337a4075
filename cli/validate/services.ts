import type { Config } from "#runtime/config.ts";
import { publicAddress } from "#runtime/heartbeat/public-address.ts";
import type { Registry } from "#runtime/registry.ts";
import { type Check, tried } from "./tried.ts";

/**
 * The services that are configured, each by really using it with the key that the container has, and leaving nothing
 * behind. What is not configured is not mentioned.
 */
export async function checkServices(checks: Check[], config: Config, registry: Registry): Promise<void> {
  const attempt = (name: string, probe: () => Promise<string>) =>
    tried(checks, name, async () => ({ value: null, message: await probe() }));
  const { upstash, supabase: project, callback, workerId, http } = config;
  if (upstash !== null)
    await attempt("queue", async () => (await import("#runtime/probes/probe-upstash.ts")).probeUpstash(upstash));
  if (project !== null) {
    const handlers = registry
      .all()
      .filter(({ worker }) => config.workers.length === 0 || config.workers.includes(worker));
    await attempt("database", async () =>
      (await import("#runtime/probes/probe-database.ts")).probeDatabase(project, workerId),
    );
    await attempt("storage", async () =>
      (await import("#runtime/probes/probe-storage.ts")).probeStorage(project, handlers),
    );
  }
  if (callback !== null)
    await attempt("callback", async () =>
      (await import("#runtime/probes/probe-callback.ts")).probeCallback(callback, project, workerId),
    );
  const address = publicAddress({ publicUrl: http.publicUrl, podId: config.podId }, http.port);
  if (address !== null && http.port !== 0)
    await attempt("public address", async () =>
      (await import("#runtime/probes/probe-public-address.ts")).probePublicAddress(address.url, http),
    );
  if (project !== null && address !== null && config.heartbeatSeconds > 0)
    await attempt("registration", async () =>
      (await import("#runtime/probes/probe-registration.ts")).probeRegistration(project),
    );
}
