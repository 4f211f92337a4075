import type { Config } from "#runtime/container/config.ts";
import { publicAddress } from "#runtime/heartbeat/public-address.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { type Check, type Subject, tried } from "./tried.ts";

/**
 * The services that are configured, each by really using it with the key that the container has, and leaving nothing
 * behind. What is not configured is not mentioned.
 */
export async function checkServices(checks: Check[], config: Config, registry: Registry): Promise<void> {
  const attempt = (subject: Subject, name: string, probe: () => Promise<string>) =>
    tried(checks, subject, name, async () => ({ value: null, message: await probe() }));
  const { supabase: project, callback, workerId, http } = config;
  if (project !== null) {
    const handlers = registry
      .all()
      .filter(({ worker }) => config.workers.length === 0 || config.workers.includes(worker));
    await attempt("storage", "storage", async () =>
      (await import("./probes/probe-storage.ts")).probeStorage(project, handlers),
    );
  }
  if (callback !== null)
    await attempt("app", "callback", async () =>
      (await import("./probes/probe-callback.ts")).probeCallback(callback, project, workerId),
    );
  const address = publicAddress({ publicUrl: http.publicUrl, podId: config.podId }, http.port);
  if (address !== null && http.port !== 0)
    await attempt("app", "public address", async () =>
      (await import("./probes/probe-public-address.ts")).probePublicAddress(address.url, http),
    );
  if (project !== null && address !== null && config.heartbeatSeconds > 0)
    await attempt("app", "registration", async () =>
      (await import("./probes/probe-registration.ts")).probeRegistration(project),
    );
}
