import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { startContainer } from "#functions/testing/container.ts";
import { startBrowser } from "#test/support/browser.ts";
import { printTable } from "./support/table.ts";

/*
 * How long the console's longest frames are with JOBS (default 5,000) jobs that have ended, all of them on the page, as many that
 * wait, and one whose steps come all the time: from one frame to the next, as the browser calls for them.
 */
const jobs = Number(process.env.JOBS ?? 5000);
const limitMs = 50;
const watchedMs = 15_000;
const atOnce = 100;

const handlers = fileURLToPath(new URL("../test/support/console-handlers", import.meta.url));
const container = await startContainer({ HANDLERS_DIR: handlers, WORKERS: "media,sdxl" });
const { url } = await container.listen();
const { runtime } = container;

async function submitMany(prompt: string): Promise<string[]> {
  const ids: string[] = [];
  for (let begun = 0; begun < jobs; begun += atOnce) {
    const part = Array.from({ length: Math.min(atOnce, jobs - begun) }, (_, index) =>
      runtime.submit("stripes", {}, { prompt: `${prompt} ${begun + index}` }),
    );
    ids.push(...(await Promise.all(part)));
  }
  return ids;
}

/** From frame to frame, in ms, sorted. */
async function framesOf(page: Page, during: () => Promise<void>): Promise<number[]> {
  await page.evaluate(`
    globalThis.gaps = [];
    globalThis.isWatched = true;
    let before = performance.now();
    const look = (now) => { gaps.push(now - before); before = now; if (isWatched) requestAnimationFrame(look); };
    requestAnimationFrame((now) => { before = now; requestAnimationFrame(look); });`);
  await during();
  const gaps = await page.evaluate<number[]>("isWatched = false, gaps");
  return gaps.toSorted((one, other) => one - other);
}

async function showAll(page: Page): Promise<void> {
  await page.locator(".choice label", { hasText: "Cancelled" }).click();
  const more = page.locator('[data-part="more"]');
  await more.waitFor();
  await page.evaluate(`(async () => {
    const more = document.querySelector('[data-part="more"]');
    const rows = document.querySelector('[data-part="others"]');
    while (!more.hidden) {
      const before = rows.childElementCount;
      more.click();
      for (let frame = 0; frame < 600 && rows.childElementCount === before && !more.hidden; frame++)
        await new Promise(requestAnimationFrame);
    }
  })()`);
}

await container.call("POST", "/worker/pause", { body: {} });
for (const id of await submitMany("a hill")) await runtime.queue.cancel(id);
await runtime.submit("sdxl_image_fast", { num_inference_steps: 150, width: 512, height: 512 }, { priority: 9 });
const browser = await startBrowser();
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
page.setDefaultTimeout(120_000);
await page.goto(url);
await page.locator("body[data-ready=true]").waitFor();
await showAll(page);
const rows = await page.locator(".row").count();
await submitMany("a lake");
await container.call("POST", "/worker/resume", { body: {} });
await page
  .locator(".card", { hasText: /step \d/ })
  .first()
  .waitFor();
const still = await framesOf(page, () => page.waitForTimeout(watchedMs));
const scrolled = await framesOf(page, async () => {
  for (let turn = 0; turn < 60; turn++) {
    await page.mouse.move(900, 600);
    await page.mouse.wheel(0, 900);
    await page.waitForTimeout(60);
  }
});
await browser.close();
await container.stop();

const at = (frames: number[], share: number) => (frames[Math.floor((frames.length - 1) * share)] ?? 0).toFixed(0);
printTable([
  [`${rows} rows, ms from frame to frame`, "frames", "median", "99 %", "longest"],
  ["a job runs, jobs end", String(still.length), at(still, 0.5), at(still, 0.99), at(still, 1)],
  ["and the page is scrolled", String(scrolled.length), at(scrolled, 0.5), at(scrolled, 0.99), at(scrolled, 1)],
]);
const longest = Math.max(still.at(-1) ?? 0, scrolled.at(-1) ?? 0);
console.log(`longest ${longest.toFixed(0)} ms (to hold: ${limitMs} ms): ${longest <= limitMs ? "held" : "NOT held"}`);
