import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { startContainer } from "#functions/testing/container.ts";
import { startBrowser } from "#test/support/browser.ts";
import { watchFrames } from "./support/frames.ts";
import { printTable, quantile } from "./support/table.ts";

/*
 * How long the console's longest frames are with JOBS (default 5,000) jobs that have ended, all of them in the list that is
 * shown, WAITING (default 500) that wait, and one whose steps come all the time: while nobody does anything, while the list is scrolled
 * and while somebody types into the search. `CPU` is what the page's main thread worked from one frame to the next, which other
 * programs on the machine do not change; `wall` is what passed meanwhile.
 */
const jobs = Number(process.env.JOBS ?? 5000);
const waiting = Number(process.env.WAITING ?? 500);
const limitMs = 50;
const watchedMs = 15_000;
const atOnce = 100;

const handlers = fileURLToPath(new URL("../test/support/console-handlers", import.meta.url));
const container = await startContainer({ HANDLERS_DIR: handlers, WORKERS: "media,sdxl" });
const { url } = await container.listen();
const { runtime } = container;

async function submitMany(prompt: string, jobs: number): Promise<string[]> {
  const ids: string[] = [];
  for (let begun = 0; begun < jobs; begun += atOnce) {
    const part = Array.from({ length: Math.min(atOnce, jobs - begun) }, (_, index) =>
      runtime.submit("stripes", {}, { prompt: `${prompt} ${begun + index}` }),
    );
    ids.push(...(await Promise.all(part)));
  }
  return ids;
}

async function showAll(page: Page): Promise<void> {
  await page.locator(".choice label", { hasText: "Cancelled" }).click();
  const more = page.locator('[data-part="more"]');
  await more.waitFor();
  await page.evaluate(`(async () => {
    const more = document.querySelector('[data-part="more"]');
    const rows = document.getElementsByClassName("row");
    while (!more.hidden) {
      const before = rows.length;
      more.click();
      for (let frame = 0; frame < 600 && rows.length === before && !more.hidden; frame++)
        await new Promise(requestAnimationFrame);
    }
  })()`);
}

async function scroll(page: Page): Promise<void> {
  await page.mouse.move(900, 600);
  for (let turn = 0; turn < 60; turn++) {
    await page.mouse.wheel(0, turn < 45 ? 900 : -900);
    await page.waitForTimeout(60);
  }
}

/** By keys alone: a locator would go through all elements of the page, in the page's own time. */
async function search(page: Page): Promise<void> {
  await page.evaluate(`document.querySelector('[data-part="filter-text"]').focus()`);
  for (const text of ["hill 49", "no such hill", "hill 2"]) {
    await page.keyboard.press("Control+a");
    await page.keyboard.type(text, { delay: 100 });
    await page.waitForTimeout(3000);
  }
}

await container.call("POST", "/worker/pause", { body: {} });
for (const id of await submitMany("a hill", jobs)) await runtime.queue.cancel(id);
await runtime.submit("sdxl_image_fast", { num_inference_steps: 150, width: 512, height: 512 }, { priority: 9 });
const browser = await startBrowser();
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
page.setDefaultTimeout(120_000);
await page.goto(url);
await page.locator("body[data-ready=true]").waitFor();
await showAll(page);
const rows = await page.locator(".row").count();
await submitMany("a lake", waiting);
await container.call("POST", "/worker/resume", { body: {} });
const running = page.locator(".card", { hasText: /step \d/ }).first();
await running.waitFor();
const measured = [
  ["a job runs, jobs end", await watchFrames(page, () => page.waitForTimeout(watchedMs))],
  ["the page is scrolled", await watchFrames(page, () => scroll(page))],
  ["a text is searched", await watchFrames(page, () => search(page))],
] as const;
await browser.close();
await container.stop();

const ms = (values: readonly number[], share: number) => quantile(values, share).toFixed(1);
printTable([
  [`${rows} rows, ms`, "frames", "CPU median", "95 %", "longest", "wall median", "95 %", "longest"],
  ...measured.map(([name, { cpuMs, wallMs }]) => [
    name,
    String(wallMs.length),
    ...[cpuMs, wallMs].flatMap((values) => [ms(values, 0.5), ms(values, 0.95), ms(values, 1)]),
  ]),
]);
const longest = Math.max(...measured.map(([, { cpuMs }]) => quantile(cpuMs, 1)));
console.log(`longest ${longest.toFixed(0)} ms (to hold: ${limitMs} ms): ${longest <= limitMs ? "held" : "NOT held"}`);
