import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { startRuntime } from "#runtime/container/start-runtime.ts";
import { isEnd, type LiveEvent } from "#runtime/dispatch/job-events.ts";
import { createLogger } from "#runtime/observe/log.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";

/** A whole container in this process, on a folder of its own, with the handlers of this folder. */
export interface TestRuntime extends Runtime {
  readonly folder: string;
  /** Enqueues a job, in the first source unless one is named, and returns its id. */
  submit(
    type: string,
    config?: Record<string, unknown>,
    fields?: Record<string, unknown>,
    source?: string,
  ): Promise<string>;
  /** The job's record when it has ended. */
  ended(jobId: string): Promise<JobRecord>;
  remove(): Promise<void>;
}

export const testHandlers = fileURLToPath(new URL("./handlers", import.meta.url));

export async function startTestRuntime(
  env: Record<string, string> = {},
  beforeWork?: Parameters<typeof startRuntime>[2],
): Promise<TestRuntime> {
  const folder = env.DATA_DIR ?? (await mkdtemp(join(tmpdir(), "ourvidz-runtime-")));
  const config = readConfig(
    { HANDLERS_DIR: testHandlers, LOG_LEVEL: "silent", EXECUTOR_RESTART_MAX_SECONDS: "0.5", ...env, DATA_DIR: folder },
    () => "test-worker",
  );
  const runtime = await startRuntime(config, await createLogger({ level: "silent", format: "json" }), beforeWork);
  return {
    ...runtime,
    folder,
    async submit(type, jobConfig = {}, fields = {}, source) {
      const job = jobEnvelope.parse({ id: randomUUID(), type, prompt: "a quiet lake", config: jobConfig, ...fields });
      const worker = runtime.registry.get(type)?.worker ?? "test";
      const { jobId } = await runtime.queue.enqueue(job, { worker }, { source });
      return jobId;
    },
    async ended(jobId) {
      await untilEvent(runtime, jobId, isEnd);
      const record = await runtime.queue.get(jobId);
      if (record === null) throw new Error(`there is no job ${jobId}`);
      return record;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Resolves with the first event of the job for which `matches` is true, past ones included. */
export function untilEvent({ events }: Runtime, jobId: string, matches: (event: LiveEvent) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = events.subscribe(jobId, ({ event }) => {
      if (!matches(event)) return;
      stop();
      resolve();
    });
    if (events.replay(jobId).some(({ event }) => matches(event))) {
      stop();
      resolve();
    }
  });
}
