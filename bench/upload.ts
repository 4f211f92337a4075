import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { temporaryFolder } from "./support/container.ts";
import { curlParts, curlWhole } from "./support/curl.ts";
import { JsonProcess } from "./support/json-process.ts";
import { printTable, spread } from "./support/table.ts";

/*
 * How fast the container stores a file with the app, beside `curl` with the same file and the same server, in turns, and
 * how large its process gets meanwhile. The server has a process of its own.
 *
 * Over a line of LINE_MBITS (default 320) the line decides, as it does between a container and its app: there the store has
 * to hold its ratio against curl that sends the file in one piece. Without a line the processors decide, and the library
 * behind the resumable endpoint takes twice as much of the server's as a plain upload: those rows are measured against
 * curl that sends the same parts, and hold nothing.
 *
 * The ratio is that of the fastest runs: what else the machine does can only add to a run.
 */
const rounds = Number(process.env.ROUNDS ?? 7);
const lineBytesPerSecond = (Number(process.env.LINE_MBITS ?? 320) * 1_000_000) / 8;
const ratioToHold = 0.9;
/** What the process may grow from the smallest file that goes in parts to the largest. */
const growthToHoldMiB = 25;

const megabyte = 1024 * 1024;
const service = z.object({ url: z.string(), serviceKey: z.string() });
const line = z.object({ port: z.number() });
const measured = z.object({ seconds: z.number(), peakMiB: z.number() });

interface Case {
  readonly sizeMB: number;
  readonly over: "line" | "loopback";
  readonly against: "whole" | "parts";
}

const cases: readonly Case[] = [
  { sizeMB: 1, over: "line", against: "whole" },
  { sizeMB: 6, over: "line", against: "whole" },
  { sizeMB: 30, over: "line", against: "whole" },
  { sizeMB: 100, over: "line", against: "whole" },
  { sizeMB: 6, over: "loopback", against: "whole" },
  { sizeMB: 30, over: "loopback", against: "parts" },
  { sizeMB: 300, over: "loopback", against: "parts" },
];

interface Result extends Case {
  readonly curl: number[];
  readonly store: number[];
  readonly peakMiB: number[];
}

async function newFile(folder: string, sizeMB: number): Promise<string> {
  const path = join(folder, `${sizeMB}.mp4`);
  const handle = await open(path, "w");
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  for (let written = 0; written < sizeMB * megabyte; written += block.length) await handle.write(block);
  await handle.close();
  return path;
}

async function measure(folder: string, one: Case): Promise<Result> {
  const server = new JsonProcess("storage-service.ts");
  const { url, serviceKey } = await server.next(service);
  const slowLine = new JsonProcess("slow-line.ts", [new URL(url).port, String(lineBytesPerSecond)]);
  const { port } = await slowLine.next(line);
  const target = { url: one.over === "line" ? `http://127.0.0.1:${port}` : url, serviceKey };
  // A process for each case: what one made of it is not counted with another.
  const store = new JsonProcess("put-files.ts", [target.url, serviceKey]);
  const file = await newFile(folder, one.sizeMB);
  const put = () => {
    store.send(file);
    return store.next(measured);
  };
  const curl = () =>
    one.against === "parts" ? curlParts(target, file, one.sizeMB * megabyte) : curlWhole(target, file);
  const result: Result = { ...one, curl: [], store: [], peakMiB: [] };
  // Once for nothing: code is compiled, the file is in the system's cache.
  await put();
  await curl();
  for (let round = 0; round < rounds; round++) {
    result.curl.push(await curl());
    const { seconds, peakMiB } = await put();
    result.store.push(seconds);
    result.peakMiB.push(peakMiB);
  }
  for (const child of [store, slowLine, server]) await child.end();
  await rm(file);
  return result;
}

const folder = await temporaryFolder();
const results: Result[] = [];
for (const one of cases) results.push(await measure(folder, one));
await rm(folder, { recursive: true, force: true });

const speeds = (sizeMB: number, seconds: readonly number[]) => seconds.map((one) => sizeMB / one);
printTable([
  ["file", "over", "curl sends", "curl, MB/s", "asset store, MB/s", "ratio", `≥ ${ratioToHold}`, "peak, MiB"],
  ...results.map(({ sizeMB, over, against, curl, store, peakMiB }) => {
    const ratio = Math.min(...curl) / Math.min(...store);
    return [
      `${sizeMB} MB`,
      over === "line" ? `${(lineBytesPerSecond * 8) / 1_000_000} Mbit/s` : "loopback",
      against === "whole" ? "one piece" : "the same parts",
      spread(speeds(sizeMB, curl), 0),
      spread(speeds(sizeMB, store), 0),
      ratio.toFixed(2),
      over === "loopback" ? "–" : ratio >= ratioToHold ? "held" : "NOT held",
      Math.max(...peakMiB).toFixed(0),
    ];
  }),
]);

const inParts = results.filter(({ over, sizeMB }) => over === "loopback" && sizeMB > 6);
const peaks = inParts.map(({ peakMiB }) => Math.max(...peakMiB));
const growth = (peaks.at(-1) ?? 0) - (peaks[0] ?? 0);
const verdict = growth <= growthToHoldMiB ? "held" : "NOT held";
console.log(
  `\npeak memory from ${inParts[0]?.sizeMB} MB to ${inParts.at(-1)?.sizeMB} MB: ${growth.toFixed(0)} MiB more, ` +
    `to hold ≤ ${growthToHoldMiB} MiB: ${verdict}`,
);
