import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { OurvidzClient } from "#client/client.ts";
import { residentMiB, startContainer } from "./support/container.ts";
import { JsonProcess } from "./support/json-process.ts";
import { printTable } from "./support/table.ts";

/*
 * What the HTTP side stands: requests a second over 200 connections, at rest and while images are generated, beside one
 * bare route of Hono; then the memory of 500 readers of one job's events. SECONDS (default 5) for each row.
 */
const seconds = process.env.SECONDS ?? "5";
const connections = 200;
const readers = 500;

const load = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number(), failures: z.number() });
type Load = z.output<typeof load>;

async function measure(url: string): Promise<Load> {
  const process = new JsonProcess("./http-load.ts", [url, String(connections), seconds]);
  const answer = await process.next(load);
  await process.end();
  return answer;
}

function row(name: string, { perSecond, p50Ms, p99Ms, failures }: Load, bare: Load): string[] {
  const ratio = (perSecond / bare.perSecond).toFixed(2);
  return [name, perSecond.toFixed(0), p50Ms.toFixed(1), p99Ms.toFixed(1), ratio, String(failures)];
}

/** Keeps the container drawing until the signal aborts. */
async function drawAlways(client: OurvidzClient, stop: AbortSignal): Promise<number> {
  const config = { width: 512, height: 512, num_inference_steps: 20 };
  let finished = 0;
  while (!stop.aborted) {
    await client.generate({ type: "sdxl_image_fast", prompt: "a lighthouse at dawn", config });
    finished++;
  }
  return finished;
}

/** Opens the events of a job so many times; each has its first bytes when it is there. */
async function openReaders(url: string, jobId: string, count: number): Promise<IncomingMessage[]> {
  const agent = new Agent({ maxSockets: count });
  return Promise.all(
    Array.from({ length: count }, async () => {
      const [response] = await once(get(`${url}/jobs/${jobId}/events`, { agent }), "response");
      await once(response, "readable");
      response.resume();
      return response;
    }),
  );
}

async function measureBare(response: "replaced" | "native"): Promise<Load> {
  const server = new JsonProcess("./bare-hono.ts", [response]);
  const { url } = await server.next(z.object({ url: z.string() }));
  const answer = await measure(`${url}/health`);
  await server.end();
  return answer;
}

const replaced = await measureBare("replaced");
const bare = await measureBare("native");

const container = await startContainer();
const client = new OurvidzClient({ url: container.url, timeoutMs: 120_000 });
// A page of GET /jobs with something on it.
for (let n = 0; n < 20; n++) {
  const job = await client.enqueue({ type: "sdxl_image_fast", prompt: "a lighthouse at dawn", delay_seconds: 86_400 });
  if (n > 0) await client.cancel(job.job_id);
}
const rest = {
  health: await measure(`${container.url}/health`),
  jobs: await measure(`${container.url}/jobs?limit=20`),
};
const stop = new AbortController();
const drawing = drawAlways(client, stop.signal);
await pause(1000);
const busy = {
  health: await measure(`${container.url}/health`),
  jobs: await measure(`${container.url}/jobs?limit=20`),
};
stop.abort();
const pictures = await drawing;

printTable([
  [`${connections} connections`, "requests/s", "p50 ms", "p99 ms", "of bare Hono", "failures"],
  row("bare Hono route", bare, bare),
  row("the same, Response replaced", replaced, bare),
  row("/health at rest", rest.health, bare),
  row("/jobs (20 jobs) at rest", rest.jobs, bare),
  row(`/health, drawing (${pictures} pictures)`, busy.health, bare),
  row("/jobs (20 jobs), drawing", busy.jobs, bare),
]);

const { job_id: followed } = await client.enqueue({
  type: "sdxl_image_fast",
  prompt: "a lighthouse at dawn",
  delay_seconds: 86_400,
});
const pid = container.process.pid ?? 0;
await pause(2000);
const before = await residentMiB(pid);
const open = await openReaders(container.url, followed, readers);
await pause(5000);
const during = await residentMiB(pid);
const beside = await measure(`${container.url}/health`);
await client.cancel(followed);
const ended = await Promise.all(open.map((response) => once(response, "end").then(() => true)));
printTable([
  [`${readers} readers of one job's events`, ""],
  ["memory before", `${before.toFixed(0)} MiB`],
  [
    "memory while they are open",
    `${during.toFixed(0)} MiB (${(((during - before) * 1024) / readers).toFixed(0)} KiB each)`,
  ],
  ["/health beside them", `${beside.perSecond.toFixed(0)} requests/s, p99 ${beside.p99Ms.toFixed(1)} ms`],
  ["that received the end", String(ended.length)],
]);
await container.stop();
