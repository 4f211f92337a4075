import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { z } from "zod";

/* The console in a real Chromium, for tests: a page of a browser of its own, and what is wrong with it for people with aids. */

/** Answers that are errors are lines of the browser's own. */
const isAnswer = (text: string) => /status of (?:4\d\d|503)/.test(text);

/** The console, ready to be used; errors of its script and of its security policy fail the test. */
export async function openConsole(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints: string[] = [];
  onTestFinished(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !isAnswer(message.text())) complaints.push(message.text());
  });
  await page.goto(url);
  await page.locator("body[data-ready=true]").waitFor();
  return page;
}

/** As when somebody comes back to the tab: the page reads the container's state at once, and not in up to six seconds. */
export async function lookAgain(page: Page): Promise<void> {
  await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
}

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const violations = z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) }));

/** What axe finds on the page as it is now: rule and element. The page must have been opened with `bypassCSP`. */
export async function violationsOn(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(axe, "utf8"));
  const found: unknown = await page.evaluate("axe.run().then(({ violations }) => violations)");
  return violations.parse(found).flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}
