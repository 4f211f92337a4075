import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";

/* The console's form, in a real Chromium, counts the tokens of a prompt while it is typed. */

const limits = { timeout: 60_000 };

let browser: Browser;
let container: TestContainer;
let url: string;

beforeAll(async () => {
  const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
  const env = { HANDLERS_DIR: handlers, WORKERS: "sdxl" };
  [browser, container] = await Promise.all([startBrowser(), startContainer(env)]);
  url = (await container.listen()).url;
}, 300_000);

afterAll(async () => {
  await browser.close();
  await container.stop();
});

test("tokens, chunks, what is not read, and why weights cannot be read", { timeout: 180_000 }, async () => {
  const page = await browser.newPage();
  await page.goto(url);
  const hintOf = (name: string) => page.locator(".field", { has: page.locator(`[name="${name}"]`) }).locator(".hint");
  const shows = async (name: string, pattern: RegExp) =>
    expect.poll(() => hintOf(name).textContent(), limits).toMatch(pattern);

  await page.getByLabel("Job type").selectOption("sdxl_image_fast");
  await page.locator('[name="prompt"]').fill("a red apple");
  await shows("prompt", /^\d+ tokens$/);
  expect(await hintOf("negative_prompt").isVisible()).toBe(false);
  await page.locator('[name="negative_prompt"]').fill("a rocket, ".repeat(60));
  await shows("negative_prompt", /^\d+ tokens in [2-9] chunks$/);

  await page.getByLabel("Job type").selectOption("video_fast");
  await shows("prompt", /^\d+ tokens of 511$/);
  await page.locator('[name="prompt"]').fill("a rocket flies up ".repeat(400));
  await shows("prompt", /^\d+ tokens: the last \d+ are not read, 511 are$/);
});
