import { rm } from "node:fs/promises";
import { startEmulator } from "#functions/runpod/emulator.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { temporaryFolder } from "./container.ts";

/** Our emulator of RunPod's endpoints, in this process: the other side of the containers that a benchmark starts. */
export interface BenchEndpoints {
  /** What RunPod sets in a container of the endpoint. */
  environment(endpoint: string): Record<string, string>;
  /** Resolves when a container has run the job. @throws what it came to, when it is not completed; the signal's reason */
  runSync(endpoint: string, input: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<FinishedJob>;
  close(): Promise<void>;
}

export interface FinishedJob {
  readonly wallMs: number;
  /** From the submission to the take. */
  readonly delayMs: number;
}

export async function startEndpoints(): Promise<BenchEndpoints> {
  const folder = await temporaryFolder();
  const config = readConfig({ DATA_DIR: folder }, () => "bench");
  const embedded = await openEmbedded(config);
  const queue = new JobQueues(new Map([["sqlite", embedded.source]]));
  const log = await createLogger({ level: "silent", format: "json" });
  const own = { config, embedded, log, source: embedded.source, queue };
  const emulator = await startEmulator({ ...own, apiKeys: [], host: "127.0.0.1", port: 0 });
  return {
    environment(endpoint) {
      const at = (operation: string) => `${emulator.url}/${endpoint}/${operation}/$RUNPOD_POD_ID`;
      return {
        // The official worker knows no other name there.
        RUNPOD_WEBHOOK_GET_JOB: `${emulator.url}/${endpoint}/job-take/$ID`,
        RUNPOD_WEBHOOK_POST_OUTPUT: `${at("job-done")}/$ID`,
        RUNPOD_WEBHOOK_PING: at("ping"),
        RUNPOD_AI_API_KEY: "raw-key",
        RUNPOD_POD_ID: "pod-1",
        RUNPOD_ENDPOINT_ID: endpoint,
        RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
        RUNPOD_SKIP_GPU_CHECK: "true",
      };
    },
    async runSync(endpoint, input, signal) {
      const startedAtMs = performance.now();
      const limit = signal === undefined ? {} : { signal };
      const submitted = await call(`${emulator.url}/${endpoint}/run`, {
        method: "POST",
        body: JSON.stringify({ input }),
        ...limit,
      });
      for (;;) {
        const job = await call(`${emulator.url}/${endpoint}/status-sync/${submitted.id}?wait=60000`, limit);
        if (job.status === "COMPLETED") return { wallMs: performance.now() - startedAtMs, delayMs: job.delayTime };
        if (job.status !== "IN_QUEUE" && job.status !== "IN_PROGRESS") throw new Error(JSON.stringify(job));
      }
    },
    async close() {
      await emulator.close();
      await embedded.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function call(url: string, init: RequestInit) {
  return JSON.parse(await (await fetch(url, init)).text());
}
