import { Agent, get } from "node:http";
import process from "node:process";
import { quantile } from "./table.ts";

/*
 * Requests one address over so many connections at once, each again as soon as it has its answer, for so many seconds.
 * A process of its own, so that the load does not slow the server. Arguments: URL, connections, seconds.
 */
const [url = "", connections = "200", seconds = "5"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: Number(connections) });
const endsAtMs = performance.now() + Number(seconds) * 1000;
const tookMs: number[] = [];
let failures = 0;

function requestOnce(): Promise<void> {
  const startedAtMs = performance.now();
  return new Promise((resolve) => {
    const request = get(url, { agent }, (response) => {
      response.resume();
      response.once("end", () => {
        if (response.statusCode !== 200) failures++;
        tookMs.push(performance.now() - startedAtMs);
        resolve();
      });
    });
    request.once("error", () => {
      failures++;
      resolve();
    });
  });
}

async function requestRepeatedly(): Promise<void> {
  while (performance.now() < endsAtMs) await requestOnce();
}

await Promise.all(Array.from({ length: Number(connections) }, requestRepeatedly));
const answer = {
  perSecond: tookMs.length / Number(seconds),
  p50Ms: quantile(tookMs, 0.5),
  p99Ms: quantile(tookMs, 0.99),
  failures,
};
process.stdout.write(`${JSON.stringify(answer)}\n`);
agent.destroy();
