import type { Config } from "#runtime/container/config.ts";
import type { Embedded } from "#runtime/container/embedded.ts";
import { connectDelivery } from "#runtime/delivery/connect-delivery.ts";
import { Delivery } from "#runtime/delivery/delivery.ts";
import { openOutbox } from "#runtime/delivery/outbox.ts";
import { connectWebhook } from "#runtime/delivery/webhooks/connect-webhook.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { Settler } from "#runtime/dispatch/settler.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { JobSource } from "#runtime/sources/job-source.ts";

/*
 * The emulator settles jobs of its queue as a container does: through an outbox, so that a result that was taken, and a webhook
 * that is to be sent, outlive the process and an outage of the queue. It is answered ends of all jobs of that queue too, those of
 * an app's among them: these are reported to the app, as every container would.
 */
export interface EmulatorDeliveryOptions {
  readonly source: JobSource;
  readonly config: Config;
  /** Where ends are written down. */
  readonly embedded: Pick<Embedded, "database" | "store" | "callbacks">;
  readonly log: Logger;
}

export interface EmulatorDelivery {
  readonly delivery: Delivery;
  readonly settler: Pick<Settler, "report">;
  readonly events: JobEvents;
}

const concurrency = 8;

export function emulatorDelivery(options: EmulatorDeliveryOptions): EmulatorDelivery {
  const { source, config, embedded } = options;
  // Whoever watches an emulator looks at its requests: what is delivered is no news.
  const log = options.log.isLevelEnabled("warn") ? options.log.child({}, { level: "warn" }) : options.log;
  const events = new JobEvents();
  const metrics = createMetrics(new MetricsRegistry({ jobTypes: [], log }));
  const shared = { events, log, metrics, random: Math.random };
  const sources = new Map([[source.name, source]]);
  // Leases are renewed by who has handed the jobs out.
  const keepers = new Map();
  const { workerId } = config;
  const destinations = connectDelivery(config, embedded, log);
  const outbox = openOutbox(embedded.database, config, log, { sendsEmulated: true });
  const delivery = new Delivery({
    ...shared,
    ...destinations,
    webhook: connectWebhook(config, destinations.stored, { trustsEmulated: true }),
    ...{ outbox, sources, keepers, workerId, concurrency, nowMs: Date.now },
  });
  const registry = { get: () => undefined };
  const settler = new Settler({ ...shared, delivery, registry, restore: async () => undefined });
  return { delivery, settler, events };
}
