import { Worker } from "node:worker_threads";
import { workerVersion } from "#runtime/container/version.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { userAgent } from "./api.ts";
import type { RunpodSourceOptions } from "./options.ts";
import { expandTemplate } from "./protocol/url-templates.ts";

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

/** Null for a container that RunPod has given no address for pings, or no name. */
export function pingerOf({
  pingUrl,
  podId,
  workerId,
  gpuType,
  apiKey,
  pingIntervalMs,
  log,
}: RunpodSourceOptions): Pinger | null {
  if (pingUrl === null || podId === undefined) return null;
  const url = expandTemplate(pingUrl, { workerId, ...(gpuType === undefined ? {} : { gpuType }) });
  const headers = { "user-agent": userAgent, ...(apiKey === undefined ? {} : { authorization: apiKey }) };
  return new Pinger({ url, intervalMs: pingIntervalMs, headers, version: workerVersion }, log);
}
