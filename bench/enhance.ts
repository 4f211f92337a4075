import { OurvidzClient } from "#client/client.ts";
import { residentBytes } from "#runtime/observe/process-memory.ts";
import { startContainer } from "./support/container.ts";
import { printTable, quantile } from "./support/table.ts";

/*
 * How long `/enhance` takes at rest and while a video is made on the other executor, and what 50 clients of `/chat` at once cost
 * the container's memory. The bundled models. REQUESTS (default 20) of each kind.
 */
const requests = Number(process.env.REQUESTS ?? 20);
const clients = 50;

const container = await startContainer({ CALLS_WAITING_MAX: String(clients) });
const client = new OurvidzClient({ url: container.url });

async function enhanceMs(): Promise<number[]> {
  const took: number[] = [];
  for (let seed = 0; seed < requests; seed++) {
    const start = performance.now();
    const { success, fallback_reason } = await client.enhance({ prompt: "a fox in the snow", seed });
    if (!success) throw new Error(`nothing was enhanced: ${fallback_reason}`);
    took.push(performance.now() - start);
  }
  return took;
}

/** Keeps the other executor at work until `stop` is aborted; returns how many videos it finished. */
async function filmAlways(stop: AbortSignal): Promise<number> {
  let finished = 0;
  for (; !stop.aborted; finished++) {
    const { job_id } = await client.enqueue({ type: "video_fast", prompt: "a rocket flies up" });
    for await (const { name, data } of client.follow(job_id))
      if (name === "state" && data.status === "failed") throw new Error(`the video failed: ${JSON.stringify(data)}`);
  }
  return finished;
}

const mebibytes = async () => ((await residentBytes(container.process.pid ?? 0)) ?? 0) / 2 ** 20;

async function talkAll(): Promise<{ readonly before: number; readonly peak: number; readonly seconds: number }> {
  const before = await mebibytes();
  const start = performance.now();
  let peak = before;
  const look = setInterval(async () => {
    peak = Math.max(peak, await mebibytes());
  }, 50);
  const talks = Array.from({ length: clients }, async (_, index) => {
    const request = { prompt: "What can you draw?", temperature: 0, user_id: `user-${index % 5}` };
    for await (const { name } of client.chatStream(request)) if (name === "done") return;
  });
  await Promise.all(talks);
  clearInterval(look);
  return { before, peak, seconds: (performance.now() - start) / 1000 };
}

function row(name: string, took: readonly number[]): string[] {
  return [name, String(took.length), ...[0.5, 0.95, 1].map((p) => quantile(took, p).toFixed(0))];
}

const first = await enhanceMs();
const rest = await enhanceMs();
const stop = new AbortController();
const filming = filmAlways(stop.signal);
const busy = await enhanceMs();
stop.abort();
const videos = await filming;
printTable([
  ["/enhance, ms", "requests", "p50", "p95", "max"],
  row("the first, with the load of the model", first.slice(0, 1)),
  row("at rest", rest),
  row(`beside a video (${videos} finished)`, busy),
]);
const { before, peak, seconds } = await talkAll();
console.log(
  `${clients} clients of /chat at once: ${seconds.toFixed(1)} s, container ${before.toFixed(0)} MiB before, ${peak.toFixed(0)} MiB at most`,
);
await container.stop();
