import { Worker } from "node:worker_threads";
import type { Logger } from "#runtime/observe/log.ts";

export interface PingSettings {
  readonly url: string;
  readonly intervalMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly version: string;
}

/** Pings from a thread of its own, with the ids of the jobs that this container has. */
export class Pinger {
  readonly #thread: Worker;

  constructor(settings: PingSettings, log: Logger | undefined) {
    this.#thread = new Worker(new URL("./ping-thread.ts", import.meta.url), { workerData: settings, execArgv: [] });
    this.#thread.unref();
    this.#thread.on("error", (error) => log?.error({ error }, "RunPod is not pinged any more: restart the container"));
  }

  set(ids: readonly string[]): void {
    this.#thread.postMessage([...ids]);
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}
