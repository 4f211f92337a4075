import { randomUUID } from "node:crypto";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { wanVideoParameters } from "#contract/wan.ts";
import { referenceConfig } from "#contract/wan-references.ts";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { shapesFrame } from "#pipelines/video/testing/clips.ts";
import { makePicture } from "#runtime/inputs/testing/harness.ts";
import { startBrowser } from "./support/browser.ts";

/* Videos in the console, in a real Chromium: seen while they are made, played and searched in, in lists and large. */

vi.setConfig({ testTimeout: 120_000 });

const pollLimit = { timeout: 20_000 };

let browser: Browser;
let container: TestContainer;
let url: string;
const complaints: string[] = [];

beforeAll(async () => {
  const handlers = fileURLToPath(new URL("./support/console-handlers", import.meta.url));
  [browser, container] = await Promise.all([startBrowser(), startContainer({ HANDLERS_DIR: handlers })]);
  url = (await container.listen()).url;
}, 300_000);

afterAll(async () => {
  await browser.close();
  await container.stop();
});

afterEach(() => {
  expect(complaints.splice(0)).toEqual([]);
});

async function openConsole(options: BrowserContextOptions = {}, address = url): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(address);
  return page;
}

/** Fills fields of the form, and opens what hides them. */
async function fill(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`[name="${name}"]`);
    const group = page.locator("details", { has: field });
    if ((await group.count()) > 0 && !(await field.isVisible())) await group.locator("summary").click();
    await field.fill(value);
  }
}

const tileOf = (page: Page, prompt: string) => page.locator(".tile", { hasText: prompt });

async function makeClip(prompt: string, config: Record<string, unknown> = {}): Promise<void> {
  await container.runtime.ended(await container.runtime.submit("clip", config, { prompt }));
}

/** What a script of the page makes of the first element that the selector finds. */
function ofElement<Result>(page: Page, selector: string, script: string): Promise<Result> {
  return page.evaluate<Result>(`(${script})(document.querySelector(${JSON.stringify(selector)}))`);
}

interface VideoState {
  readonly duration: number;
  readonly muted: boolean;
  readonly loop: boolean;
  readonly controls: boolean;
  readonly paused: boolean;
  readonly videoWidth: number;
  readonly videoHeight: number;
  readonly currentTime: number;
  readonly poster: string;
}

const stateOf = (page: Page, selector: string) =>
  ofElement<VideoState>(
    page,
    selector,
    `({ duration, muted, loop, controls, paused, videoWidth, videoHeight, currentTime, poster }) =>
      ({ duration, muted, loop, controls, paused, videoWidth, videoHeight, currentTime, poster })`,
  );

/** Jumps to a moment and reads the picture that is then shown, RGBA. */
const pictureAt = (page: Page, selector: string, seconds: number) =>
  ofElement<number[]>(
    page,
    selector,
    `async (video) => {
      video.pause();
      const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
      video.currentTime = ${seconds};
      await seeked;
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      const context = canvas.getContext("2d");
      context.drawImage(video, 0, 0);
      return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
    }`,
  );

/** Mean difference of a picture (RGBA) from a frame of the clip. */
function distance(rgba: readonly number[], frame: number, [width, height] = [160, 96]): number {
  const rgb = rgba.filter((_, at) => at % 4 !== 3);
  const drawn = shapesFrame(frame, width, height);
  return drawn.reduce((sum, value, at) => sum + Math.abs(value - (rgb[at] ?? Number.NaN)), 0) / drawn.length;
}

test("a clip is made from its form, seen while it is made, plays, and is searched in", async () => {
  const page = await openConsole();
  const gate = join(container.runtime.folder, randomUUID());
  await page.getByLabel("Job type").selectOption("clip");
  await fill(page, { prompt: "a red ball in the sky", "config.gate": gate, "config.seed": "3" });
  await page.getByRole("button", { name: "Create" }).click();
  const card = page.locator(".card", { hasText: "a red ball in the sky" });
  await card.locator("img:not([hidden])").waitFor();
  const preview = Buffer.from(String(await card.locator("img").getAttribute("src")).split(",")[1] ?? "", "base64");
  expect(preview.toString("latin1")).toMatch(/^RIFF.{4}WEBP.*ANIM.*ANMF.*ANMF/s);
  await card.getByText("step 32 of 33").waitFor();
  await writeFile(gate, "");
  await tileOf(page, "a red ball in the sky").getByRole("button").click();

  const video = "dialog video";
  await page.locator(video).waitFor();
  await expect.poll(async () => (await stateOf(page, video)).currentTime, pollLimit).toBeGreaterThan(0);
  expect(await stateOf(page, video)).toMatchObject({
    ...{ muted: true, loop: true, controls: true, paused: false, videoWidth: 160, videoHeight: 96 },
    duration: 33 / 16,
    poster: expect.stringContaining(".thumb.webp"),
  });
  // In the middle of frame 24, of a clip that begins at shape 3.
  const shown = await pictureAt(page, video, 24.5 / 16);
  expect(distance(shown, 24 + 3)).toBeLessThan(3);
  expect(distance(shown, 0 + 3)).toBeGreaterThan(9);
  expect(await page.getByRole("dialog").locator(".group").first().innerText()).toMatch(/Fps\s+16/);
  await page.keyboard.press("Escape");
  await expect.poll(() => page.locator(video).count()).toBe(0);
  await page.context().close();
});

test("a tile's clip is loaded and plays while it is pointed at", async () => {
  await makeClip("a ball at noon");
  const page = await openConsole();
  const requests: string[] = [];
  page.on("request", (request) => requests.push(new URL(request.url()).pathname));
  const tile = tileOf(page, "a ball at noon");
  await tile.locator("img:not([hidden])").waitFor();
  expect(requests.filter((path) => path.endsWith(".mp4"))).toEqual([]);
  await tile.getByRole("button").hover();
  const clip = ".tile video:not([hidden])";
  await page.locator(clip).waitFor();
  await expect.poll(async () => (await stateOf(page, clip)).currentTime, pollLimit).toBeGreaterThan(0);
  expect(await stateOf(page, clip)).toMatchObject({ muted: true, loop: true, paused: false });
  await page.mouse.move(0, 0);
  await expect.poll(() => page.locator(clip).count(), pollLimit).toBe(0);
  await page.context().close();
});

test("on a touch screen a tile's clip plays while it is seen, and not for those who want less motion", async () => {
  await makeClip("a ball at dusk");
  const touch = { viewport: { width: 375, height: 700 }, hasTouch: true, isMobile: true };
  const page = await openConsole(touch);
  const tile = tileOf(page, "a ball at dusk");
  await tile.scrollIntoViewIfNeeded();
  await tile.locator("video:not([hidden])").waitFor();
  await page.context().close();
  const still = await openConsole({ ...touch, reducedMotion: "reduce" });
  await tileOf(still, "a ball at dusk").getByRole("button").click();
  await still.locator("dialog video").waitFor();
  expect((await stateOf(still, "dialog video")).paused).toBe(true);
  expect(await still.locator(".tile video:not([hidden])").count()).toBe(0);
  await still.context().close();
});

test("WebM plays too, an animated WebP is a picture, and a file that is gone is reported", async () => {
  await makeClip("a webm ball", { container: "webm" });
  await makeClip("a webp ball", { container: "webp", frame_num: 9 });
  const page = await openConsole();
  await tileOf(page, "a webm ball").getByRole("button").click();
  await expect.poll(async () => (await stateOf(page, "dialog video")).currentTime, pollLimit).toBeGreaterThan(0);
  await page.keyboard.press("Escape");
  await tileOf(page, "a webp ball").getByRole("button").click();
  await expect
    .poll(() => ofElement<number>(page, "dialog .frame img", "(image) => image.naturalWidth"), pollLimit)
    .toBe(160);
  await page.keyboard.press("Escape");
  // While it stands in the address, the page opens it anew.
  await expect.poll(() => page.url(), pollLimit).not.toContain("/jobs/");

  await page.route(/\.webm\?/, (route) => route.fulfill({ status: 404 }));
  await page.reload();
  await tileOf(page, "a webm ball").getByRole("button").click();
  await page.getByText("This browser cannot play the file, or it is gone: open it instead.").waitFor();
  // The tile that was pointed at has tried too.
  expect(complaints.splice(0).filter((text) => !text.includes("404"))).toEqual([]);
  await page.context().close();
});

test("the file opened alone plays, although nothing else may run at its address", async () => {
  await makeClip("a ball alone");
  const page = await openConsole();
  await tileOf(page, "a ball alone").getByRole("button").click();
  const [alone] = await Promise.all([page.context().waitForEvent("page"), page.getByText("Open file").click()]);
  await expect.poll(async () => (await stateOf(alone, "video")).duration, pollLimit).toBe(33 / 16);
  await page.context().close();
});

test("a clip of a video model is made from the form of its job type, and shows the picture that it begins with", async () => {
  const models = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  await symlink(fileURLToPath(new URL("../pipelines/wan/fixtures/random-wan", import.meta.url)), join(models, "wan"));
  const shipped = fileURLToPath(new URL("../handlers", import.meta.url));
  const real = await startContainer({ HANDLERS_DIR: shipped, MODELS_DIR: models, WORKERS: "wan" });
  onTestFinished(async () => {
    await real.stop();
    await rm(models, { recursive: true, force: true });
  });
  const page = await openConsole({}, (await real.listen()).url);
  await page.getByLabel("Job type").selectOption("video_fast");
  const fields = page.locator("[data-part=fields] [name^='config.']");
  const names = await fields.evaluateAll((controls) => controls.map((control) => control.getAttribute("name")));
  const known = [...Object.keys(wanVideoParameters.shape), ...Object.keys(referenceConfig)];
  expect(names.toSorted()).toEqual(known.map((name) => `config.${name}`).toSorted());
  await fill(page, { prompt: "a lake at dawn", "config.frame_num": "9", "config.num_inference_steps": "2" });
  const field = page.locator(".field", { has: page.locator('[name="config.first_frame"]') });
  const file = { name: "olive.png", mimeType: "image/png", buffer: await makePicture("olive") };
  await field.locator('input[type="file"]').setInputFiles(file);
  await field.locator(".file-thumb img").waitFor();
  await page.getByRole("button", { name: "Create" }).click();
  await tileOf(page, "a lake at dawn").getByRole("button").click();
  await expect.poll(async () => (await stateOf(page, "dialog video")).currentTime, pollLimit).toBeGreaterThan(0);
  expect(await stateOf(page, "dialog video")).toMatchObject({ duration: 9 / 16, muted: true, loop: true });
  const references = page.locator('[data-part="job-references"]');
  await references.getByText("Mode: start · path: anchor").waitFor();
  await references.getByRole("img", { name: "First frame" }).waitFor();
  await page.context().close();
});
