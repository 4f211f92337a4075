import type { AttemptLogs } from "#runtime/attempt-logs/attempt-logs.ts";
import type { Calls } from "#runtime/calls/calls.ts";
import type { ChatSessions } from "#runtime/chat-sessions/chat-sessions.ts";
import type { Delivery } from "#runtime/delivery/delivery.ts";
import type { Outbox } from "#runtime/delivery/outbox.ts";
import type { AssetStore, FileReader } from "#runtime/delivery/stores/asset-store.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import type { Webhook } from "#runtime/delivery/webhooks/webhook.ts";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { JobEvents } from "#runtime/dispatch/job-events.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import type { Uploads } from "#runtime/inputs/uploads/uploads.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { GpuReading } from "#runtime/observe/gpu/gpu-reading.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import type { QueueReading } from "#runtime/observe/metrics/queue-reading.ts";
import type { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import type { Presets } from "#runtime/presets/presets.ts";
import type { PromptReader } from "#runtime/prompts/prompt-reader.ts";
import type { Sources } from "#runtime/sources/connect-sources.ts";
import type { RemoveFiles } from "#runtime/sources/discard-jobs.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { Config } from "./config.ts";
import type { FolderWatch } from "./folder-watch.ts";
import type { ModelFetches } from "./model-fetches.ts";
import type { WarmUp } from "./warm-up.ts";

/** What a container consists of, for those who use it from outside: see assemble.ts. */
export interface Runtime {
  readonly config: Config;
  readonly registry: Registry;
  /** The queues of all sources as one. */
  readonly queue: JobQueues;
  readonly sources: Sources["byName"];
  readonly events: JobEvents;
  /** Where this container's results go. */
  readonly store: AssetStore & FileReader;
  /** The data folder's own store, which is served under `/files/`. */
  readonly files: LocalAssetStore;
  /** Files that users have uploaded for their jobs. */
  readonly uploads: Uploads;
  /** Whether a job may name this address for its end. */
  readonly webhook: Pick<Webhook, "check">;
  /** Deletes a job's files, and what was reported of it here. */
  readonly removeFiles: RemoveFiles;
  readonly dispatcher: Dispatcher;
  /** Handlers that answer at once, without their queues. */
  readonly calls: Calls;
  /** What attempts of this container have printed. */
  readonly attemptLogs: Pick<AttemptLogs, "read">;
  readonly delivery: Delivery;
  readonly outbox: Outbox;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly dataFolder: Pick<FolderWatch, "problem">;
  readonly warmUp: Pick<WarmUp, "isDone">;
  /** Models that are not there yet. */
  readonly fetches: Pick<ModelFetches, "pending">;
  /** What this container can run now, and what keeps it from the rest. */
  readonly offers: Offers;
  readonly metrics: Metrics;
  /** Where the metrics are read; who lets others read them loads it. */
  readonly metricsRegistry: MetricsRegistry;
  /** What waits in the queues, by source; queried no more often than the source allows. */
  readonly queueReadings: ReadonlyMap<string, QueueReading>;
  readonly gpu: GpuReading;
  /** Reads prompts in a process of its own. */
  readonly prompts: Pick<PromptReader, "read">;
  /** What prompts can be enhanced by. */
  readonly presets: Pick<Presets, "all" | "reread">;
  /** What is remembered of conversations. */
  readonly sessions: Pick<ChatSessions, "read" | "remember" | "forget" | "forgetAll">;
  readonly startedAtMs: number;
  /** Resolves when a source has no more use for this container, which is then to be stopped. */
  readonly stopRequested: Promise<void>;
  /** Makes the container's public address known, if it has one, now that this port is served. */
  startHeartbeat(port: number): void;
  /** Gives the job that a worker runs back to its queue, uncharged, and starts its executor anew. */
  restartExecutor(executor: Executor): void;
  /**
   * Stops in order, each phase bounded; resolves when nothing is left running.
   * @param closeServer called when jobs are through and before the database is closed
   */
  stop(closeServer?: () => Promise<void>): Promise<void>;
}
