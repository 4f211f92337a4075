import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { startContainer } from "./support/container.ts";
import { printTable, quantile } from "./support/table.ts";

/*
 * How long `/health` takes while one image after another is generated, beside the same container at rest and a bare
 * node:http server. One request every 20 ms for SECONDS (default 20) each.
 */
const seconds = Number(process.env.SECONDS ?? 20);
const everyMs = 20;
const limitMs = 50;

async function probe(url: string): Promise<number[]> {
  const took: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const start = performance.now();
    const response = await fetch(url);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
    took.push(performance.now() - start);
    await pause(Math.max(0, everyMs - (performance.now() - start)));
  }
  return took;
}

/** Keeps the container drawing until `stop` is aborted; returns how many pictures it finished. */
async function drawAlways(url: string, stop: AbortSignal): Promise<number> {
  const config = { width: 512, height: 512, num_inference_steps: 20 };
  let finished = 0;
  while (!stop.aborted) {
    const response = await fetch(`${url}/jobs`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ type: "sdxl_image_fast", prompt: "a lighthouse at dawn", config }),
    });
    const { job_id } = (await response.json()) as { job_id: string };
    // The stream of a job's events ends with its end.
    await (await fetch(`${url}/jobs/${job_id}/events`)).text();
    finished++;
  }
  return finished;
}

function row(name: string, took: readonly number[]): string[] {
  return [name, String(took.length), ...[0.5, 0.95, 0.99, 1].map((p) => quantile(took, p).toFixed(1))];
}

const bare = createServer((_request, response) => response.end('{"status":"healthy"}')).listen(0, "127.0.0.1");
await new Promise((resolve) => bare.once("listening", resolve));
const container = await startContainer();
const bareTook = await probe(`http://127.0.0.1:${(bare.address() as AddressInfo).port}/`);
const restTook = await probe(`${container.url}/health`);
const stop = new AbortController();
const drawing = drawAlways(container.url, stop.signal);
await pause(1000);
const busyTook = await probe(`${container.url}/health`);
stop.abort();
const pictures = await drawing;
printTable([
  ["/health, ms", "requests", "p50", "p95", "p99", "max"],
  row("bare node:http", bareTook),
  row("container at rest", restTook),
  row(`container drawing (${pictures} pictures)`, busyTook),
]);
const p99 = quantile(busyTook, 0.99);
console.log(
  `p99 while drawing: ${p99.toFixed(1)} ms (to hold: ${limitMs} ms): ${p99 <= limitMs ? "held" : "NOT held"}`,
);
await container.stop();
bare.close();
