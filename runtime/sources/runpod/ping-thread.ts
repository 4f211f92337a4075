import { parentPort, workerData } from "node:worker_threads";
import { boundedRequest } from "#runtime/lib/bounded-request.ts";
import type { PingSettings } from "./pinger.ts";
import { withQuery } from "./protocol/url-templates.ts";

/*
 * The thread that pings. One that is silent loses its jobs at the platform, and the main thread may be busy for seconds with
 * something else (a large result, a slow disk): a timer of its own would be late by as much.
 */
const { url, intervalMs, headers, version } = workerData as PingSettings;
const transient = new Set([429, 500, 502, 503, 504]);
const retryPausesMs = [0, 2000, 4000];
let ids: readonly string[] = [];
let isUnderWay = false;

async function ping(): Promise<void> {
  const jobs = ids.length === 0 ? url : withQuery(url, { job_id: ids.join(",") });
  const address = withQuery(jobs, { runpod_version: version });
  for (const pauseMs of retryPausesMs) {
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    try {
      const limitMs = intervalMs * 2;
      const signal = new AbortController().signal;
      const { status } = await boundedRequest({
        method: "GET",
        url: address,
        headers,
        signal,
        idleMs: limitMs,
        limitMs,
      });
      if (!transient.has(status)) return;
    } catch {
      // The next one comes soon, and says the same.
      return;
    }
  }
}

async function pingOnce(): Promise<void> {
  if (isUnderWay) return;
  isUnderWay = true;
  await ping();
  isUnderWay = false;
}

parentPort?.on("message", (next: readonly string[]) => {
  ids = next;
});
setInterval(() => void pingOnce(), intervalMs);
void pingOnce();
