import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorReport, toErrorReport } from "#contract/errors.ts";
import type { HubSettings } from "./hub-settings.ts";
import { pullModel } from "./pull-model.ts";
import type { WantedModel } from "./repository.ts";

/*
 * A pull on a thread of its own: gigabytes are hashed there, while the thread that renews leases and answers requests
 * has its time for that.
 */
export interface PullTask {
  readonly hub: HubSettings;
  readonly modelsFolder: string;
  readonly modelMemoryBytes: number | undefined;
  readonly wanted: WantedModel;
}

export type PullReport =
  | { readonly kind: "progress"; readonly hereBytes: number; readonly totalBytes: number }
  /** Another process fetches it. */
  | { readonly kind: "waiting"; readonly hereBytes: number; readonly totalBytes: number }
  | { readonly kind: "pulled"; readonly commit: string; readonly isNew: boolean }
  | { readonly kind: "failed"; readonly error: ErrorReport };

/** Between two reports of how far it is. */
const reportEveryMs = 500;

async function run(task: PullTask, report: (what: PullReport) => void): Promise<void> {
  const stop = new AbortController();
  // Any message means that it is to stop.
  parentPort?.once("message", () => stop.abort());
  let reportedAtMs = Number.NEGATIVE_INFINITY;
  const now = (what: PullReport) => {
    if (performance.now() - reportedAtMs < reportEveryMs) return;
    reportedAtMs = performance.now();
    report(what);
  };
  try {
    const { record, isNew } = await pullModel({
      ...task,
      need: "missing",
      replace: false,
      signal: stop.signal,
      onProgress: (progress) => now({ kind: "progress", ...progress }),
      onWait: ({ received_bytes, total_bytes }) =>
        now({ kind: "waiting", hereBytes: received_bytes, totalBytes: total_bytes }),
    });
    report({ kind: "pulled", commit: record.commit, isNew });
  } catch (error) {
    report({ kind: "failed", error: toErrorReport(error, "HUB_UNREACHABLE") });
  }
  // What is left of keep-alive connections does not hold the thread.
  process.exit();
}

const task: PullTask = workerData;
await run(task, (what) => parentPort?.postMessage(what));
