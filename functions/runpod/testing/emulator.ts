import { onTestFinished } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { type Emulator, type EmulatorOptions, startEmulator } from "../emulator.ts";
import { openHome } from "./home.ts";

export const testKey = "a-key-for-tests-0001";

export interface TestEmulator extends Emulator {
  /** Moves the clock by which results are kept and containers are missed. */
  advance(ms: number): Promise<void>;
  nowMs(): number;
  /** A container that the test plays. */
  worker(endpoint: string, id?: string): TestWorker;
}

export interface TestWorker {
  /** The status, and the job or jobs. */
  take(batch?: number): Promise<{ readonly status: number; readonly jobs: readonly { id: string; input: unknown }[] }>;
  done(jobId: string, body: unknown): Promise<number>;
  stream(jobId: string, chunk: unknown): Promise<number>;
  ping(query?: string): Promise<number>;
  stops(): Promise<readonly string[]>;
}

/** The emulator on a queue in a folder of its own; closed when the test is over. */
export async function startTestEmulator(options: Partial<EmulatorOptions> = {}): Promise<TestEmulator> {
  const harness = await openHarness({ durable: false });
  const home = await openHome();
  const emulator = await startEmulator({
    ...home,
    source: harness.source,
    queue: new JobQueues(new Map([["sqlite", harness.queue]])),
    apiKeys: [testKey],
    host: "127.0.0.1",
    port: 0,
    log: await createLogger({ level: "silent", format: "json" }),
    holdMs: 15_000,
    nowMs: harness.nowMs,
    ...options,
  });
  onTestFinished(async () => {
    await emulator.close();
    await home.close();
    await harness.close();
  });
  return {
    ...emulator,
    advance: harness.advance,
    nowMs: harness.nowMs,
    worker: (endpoint, id = "pod-1") => player(emulator.url, endpoint, id),
  };
}

export function player(url: string, endpoint: string, id: string): TestWorker {
  const headers = { authorization: testKey };
  const at = (operation: string) => `${url}/${endpoint}/${operation}/${id}`;
  const post = async (address: string, body: unknown) => {
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await fetch(address, {
      method: "POST",
      headers: { ...headers, ...type },
      body: JSON.stringify(body),
    });
    return answer.status;
  };
  return {
    async take(batch) {
      const address =
        batch === undefined ? `${at("job-take")}&job_in_progress=0` : `${at("job-take-batch")}?batch_size=${batch}`;
      const answer = await fetch(address, { headers });
      if (answer.status !== 200) return { status: answer.status, jobs: [] };
      const body: { id: string; input: unknown } | { id: string; input: unknown }[] = JSON.parse(await answer.text());
      return { status: 200, jobs: Array.isArray(body) ? body : [body] };
    },
    done: (jobId, body) => post(`${at("job-done")}/${jobId}&isStream=false`, body),
    stream: (jobId, chunk) => post(`${at("job-stream")}/${jobId}?isStream=false`, { output: chunk }),
    ping: async (query = "") => (await fetch(`${at("ping")}${query}`, { headers })).status,
    async stops() {
      const answer = await fetch(at("job-stop"), { headers });
      return answer.status === 200 ? JSON.parse(await answer.text()).jobsToStop : [];
    },
  };
}
