import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Browser } from "playwright-core";
import { startBrowser } from "#test/support/browser.ts";
import { temporaryFolder } from "./support/container.ts";
import { processTree } from "./support/processes.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * How long it takes from `npm start` on an empty data folder until the console can be used: the container's state is
 * shown and the form takes a job. A browser's empty tab is open already, and asks as soon as the container says where it listens.
 * RUNS (default 7) starts, one after another; the first one, which fills the compile cache, is not counted.
 */
const runs = Number(process.env.RUNS ?? 7);
const limitMs = 1500;

interface Start {
  readonly listeningMs: number;
  readonly usableMs: number;
}

async function measure(browser: Browser): Promise<Start> {
  const folder = await temporaryFolder();
  const page = await browser.newPage();
  const startedAt = performance.now();
  const container = spawn("npm", ["start", "--silent"], {
    env: { ...process.env, DATA_DIR: folder, PORT: "0", LOG_LEVEL: "warn" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await addressOf(container.stdout);
    const listeningMs = performance.now() - startedAt;
    await page.goto(url, { waitUntil: "commit" });
    await page.locator('body[data-ready="true"] [data-part="submit"]:enabled').waitFor();
    return { listeningMs, usableMs: performance.now() - startedAt };
  } finally {
    await page.close();
    // npm's shell does not hand the signal on to what it has started.
    for (const { pid, command } of processTree(container.pid ?? 0)) {
      if (/^node .*ourvidz\.js/.test(command)) process.kill(pid, "SIGTERM");
    }
    await once(container, "close");
    await rm(folder, { recursive: true, force: true });
  }
}

async function addressOf(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
    if (found) return found[0];
  }
  throw new Error("the container ended before it listened");
}

const browser = await startBrowser();
await measure(browser);
const starts: Start[] = [];
for (let run = 0; run < runs; run++) starts.push(await measure(browser));
await browser.close();
printTable([
  ["from npm start, ms", "median (min to max)"],
  [
    "listening",
    spread(
      starts.map(({ listeningMs }) => listeningMs),
      0,
    ),
  ],
  [
    "console usable",
    spread(
      starts.map(({ usableMs }) => usableMs),
      0,
    ),
  ],
]);
const usable = median(starts.map(({ usableMs }) => usableMs));
console.log(`median ${usable.toFixed(0)} ms (to hold: ${limitMs} ms): ${usable <= limitMs ? "held" : "NOT held"}`);
