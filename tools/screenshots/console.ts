import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import { startContainer } from "#functions/testing/container.ts";
import { startBrowser } from "#test/support/browser.ts";
import { findProgram, installPackage } from "#test/support/machine.ts";
import { untilEvent } from "#test/support/runtime.ts";

/*
 * Makes the pictures of the console in docs/images/ anew, from a real container with the model that ships with the
 * project: node tools/screenshots/console.ts
 */
const folder = fileURLToPath(new URL("../../docs/images", import.meta.url));
const handlers = fileURLToPath(new URL("../../test/support/console-handlers", import.meta.url));
const largestBytes = 200_000;

const prompts = [
  "a sailboat at sea",
  "a fox in the snow",
  "a house at sunset",
  "a rocket, night sky",
  "a panda on a teal background",
  "a red apple on a light blue background",
];

interface View {
  readonly name: string;
  readonly scheme: "light" | "dark";
  readonly width: number;
  readonly height: number;
  readonly scale: number;
  prepare(page: Page): Promise<void>;
}

const views: readonly View[] = [
  { name: "console-light", scheme: "light", width: 1360, height: 940, scale: 1.5, prepare: untilDrawn },
  { name: "console-dark", scheme: "dark", width: 1360, height: 940, scale: 1.5, prepare: untilDrawn },
  {
    name: "console-job",
    scheme: "dark",
    width: 1360,
    height: 900,
    scale: 1.5,
    async prepare(page) {
      await page.locator(".tile", { hasText: "sailboat" }).getByRole("button").click();
      await page.locator("dialog.job .frame img").waitFor();
    },
  },
  {
    name: "console-failed",
    scheme: "light",
    width: 1360,
    height: 640,
    scale: 1.5,
    async prepare(page) {
      await page.locator(".choice label", { hasText: "Failed" }).click();
      await page.locator(".row", { hasText: "tides" }).getByRole("button", { name: "Details" }).click();
      await page.locator("[data-part=job-log-pane]").waitFor();
    },
  },
  { name: "console-phone", scheme: "light", width: 375, height: 1320, scale: 1.5, prepare: untilDrawn },
];

/** Until the job in progress has a preview and is well under way. */
async function untilDrawn(page: Page): Promise<void> {
  await page.locator(".card img[src^='data:']").first().waitFor();
  await page.locator(".card", { hasText: /step [3-9]\d of 150/ }).waitFor();
}

/** Questions and answers in the panel. */
const chatView: View = {
  name: "console-chat",
  scheme: "light",
  width: 1360,
  height: 760,
  scale: 1.5,
  async prepare(page) {
    await page.getByRole("button", { name: "Chat", exact: true }).click();
    for (const [index, question] of ["What can you draw?", "a rocket", "at night"].entries()) {
      await page.getByLabel("Message").fill(question);
      await page.keyboard.press("Enter");
      await page.locator(".turn .small", { hasText: "tokens" }).nth(index).waitFor();
    }
  },
};

const enhanceView: View = {
  ...chatView,
  name: "console-enhance",
  height: 900,
  async prepare(page) {
    await page.locator('[name="prompt"]').fill("a fox");
    await page.getByRole("button", { name: "Enhance" }).click();
    await page.locator(".enhance-result").waitFor();
    await page.locator(".new-job").evaluate((form) => form.scrollIntoView());
  },
};

async function shoot(browser: Browser, url: string, view: View): Promise<void> {
  const page = await browser.newPage({
    colorScheme: view.scheme,
    viewport: { width: view.width, height: view.height },
    deviceScaleFactor: view.scale,
    reducedMotion: "reduce",
  });
  page.setDefaultTimeout(40_000);
  await page.goto(url);
  await page.locator('body[data-ready="true"]').waitFor();
  await view.prepare(page);
  const file = `${folder}/${view.name}.webp`;
  await sharp(await page.screenshot())
    .webp({ quality: 82 })
    .toFile(file);
  const { size } = await stat(file);
  if (size > largestBytes) throw new Error(`${file} has ${size} bytes, more than ${largestBytes}`);
  await page.close();
}

// Where system fonts are missing, as on a server, the pictures would show none that anybody uses.
if ((await findProgram("apt-get")) !== undefined) await installPackage("fonts-inter", "the font Inter");
const browser = await startBrowser();
const container = await startContainer({ HANDLERS_DIR: handlers });
const { url } = await container.listen();
const { runtime } = container;
await runtime.ended(await runtime.submit("note", { needs: "/nowhere" }, { prompt: "a note on the tides" }));
for (const [index, prompt] of prompts.entries()) {
  await runtime.ended(
    await runtime.submit("sdxl_image_fast", { seed: 7 + index, num_images: index === 3 ? 3 : 1 }, { prompt }),
  );
}
for (const view of views) {
  const config = { num_inference_steps: 150, width: 512, height: 512, seed: 42 };
  const fields = { prompt: "a strawberry on a pink background" };
  const running = await runtime.submit("sdxl_image_fast", config, fields);
  const waiting = await runtime.submit("sdxl_image_fast", {}, { prompt: "a guitar on an orange background" });
  await untilEvent(runtime, running, (event) => event.kind === "preview");
  await shoot(browser, url, view);
  for (const id of [waiting, running]) await runtime.queue.cancel(id);
  await runtime.ended(running);
}
await container.stop();

const shipped = fileURLToPath(new URL("../../handlers", import.meta.url));
const talking = await startContainer({ HANDLERS_DIR: shipped, WORKERS: "chat,sdxl" });
const { url: talkingUrl } = await talking.listen();
for (const view of [enhanceView, chatView]) await shoot(browser, talkingUrl, view);
await talking.stop();
await browser.close();
