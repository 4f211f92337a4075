import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { makePicture, sha256 } from "#runtime/inputs/testing/harness.ts";
import { startBrowser } from "./support/browser.ts";

/* The console's form, in a real Chromium: it takes files, chosen, dropped and as a list, and counts the tokens of prompts. */

// A browser, a server and a model on the same two cores: what takes a second alone may take many.
vi.setConfig({ testTimeout: 180_000 });
const limits = { timeout: 30_000 };

let browser: Browser;
let container: TestContainer;
let page: Page;
let picture: Buffer;
let models: string;
const complaints: string[] = [];

beforeAll(async () => {
  const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
  const env = { HANDLERS_DIR: handlers, WORKERS: "sdxl", MODELS_DIR: await modelsWithoutDefaults() };
  [browser, container, picture] = await Promise.all([startBrowser(), startContainer(env), makePicture("olive")]);
  const { url } = await container.listen();
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  // What the container refuses is an answer, which the browser's console counts among the errors.
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 422")) complaints.push(message.text());
  });
  await page.goto(url);
  await page.getByLabel("Job type").selectOption("sdxl_image_fast");
  for (const summary of await page.locator("#new-job-form .more-fields summary").all()) await summary.click();
}, 300_000);
afterAll(async () => {
  await browser.close();
  await container.stop();
  await rm(models, { recursive: true, force: true });
});
afterEach(() => expect(complaints.splice(0)).toEqual([]));

/** The bundled model without values of its own, which go before those of the job type. */
async function modelsWithoutDefaults(): Promise<string> {
  const bundled = fileURLToPath(new URL("../models/tiny-sdxl", import.meta.url));
  models = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  const folder = join(models, "sdxl");
  await mkdir(folder);
  for (const name of await readdir(bundled))
    if (name !== "generation_config.json") await symlink(join(bundled, name), join(folder, name));
  await writeFile(join(folder, "generation_config.json"), '{"width": 128, "height": 128}');
  await symlink(fileURLToPath(new URL("../models/tiny-wan", import.meta.url)), join(models, "wan"));
  return models;
}

const control = (name: string) => page.locator(`[name="${name}"]`);
const fieldOf = (name: string) => page.locator(".field", { has: control(name) });
const chooserOf = (name: string) => fieldOf(name).locator('input[type="file"]');
const png = (name: string, buffer: Buffer) => ({ name, mimeType: "image/png", buffer });
const address = () => `input:${sha256(picture)}`;
/** Whether it has come, and is no broken picture. */
const isShown = (image: Locator) =>
  image.evaluate((shown) => Reflect.get(shown, "complete") === true && Number(Reflect.get(shown, "naturalWidth")) > 0);

test("a chosen picture is uploaded, shown, and changes the defaults; a dropped one does as well", async () => {
  const steps = control("config.num_inference_steps");
  expect(await steps.getAttribute("placeholder")).toBe("15");
  await chooserOf("metadata.reference_image_url").setInputFiles(png("olive.png", picture));
  const reference = control("metadata.reference_image_url");
  await expect.poll(() => reference.inputValue(), limits).toBe(address());
  await expect
    .poll(() => isShown(fieldOf("metadata.reference_image_url").locator(".file-thumb img")), limits)
    .toBe(true);
  await expect.poll(() => steps.getAttribute("placeholder"), limits).toBe("20");
  await reference.fill("");
  await reference.blur();
  await expect.poll(() => steps.getAttribute("placeholder"), limits).toBe("15");
  await reference.fill(address());

  // As text, for it is of the page and not of here.
  const data = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(${JSON.stringify([...picture])})], "mask.png", { type: "image/png" }));
    return transfer;
  })()`);
  const box = fieldOf("config.mask_image_url").locator(".file-field");
  await box.dispatchEvent("dragover", { dataTransfer: data });
  expect(await box.getAttribute("class")).toContain("over");
  await box.dispatchEvent("drop", { dataTransfer: data });
  await expect.poll(() => control("config.mask_image_url").inputValue(), limits).toBe(address());
});

test("the finished job shows what it began with beside its result", async () => {
  await control("prompt").fill("a red apple");
  await control("config.num_inference_steps").fill("2");
  await control("config.width").fill("64");
  await control("config.height").fill("64");
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator(".tile button").first().click();
  const references = page.locator('[data-part="job-references"] img');
  await expect.poll(() => references.count(), limits).toBe(2);
  for (const image of await references.all()) await expect.poll(() => isShown(image), limits).toBe(true);
  await page.getByRole("button", { name: "Close" }).click();
});

test("what is no picture is refused under its field, in the container's words", async () => {
  await chooserOf("config.mask_image_url").setInputFiles(png("letter.png", Buffer.from("a letter")));
  const problem = fieldOf("config.mask_image_url").locator(".problem");
  await expect.poll(() => problem.textContent(), limits).toContain("by its content it is no PNG");
  // The picture that was there stays.
  expect(await control("config.mask_image_url").inputValue()).toBe(address());
});

test("LoRA files are rows, which chosen files are added to, and a wrong strength is refused by the container", async () => {
  const field = fieldOf("config.loras");
  const held = async () => JSON.parse(await control("config.loras").inputValue());
  await field.getByRole("button", { name: "Add a LoRA" }).click();
  await field.getByLabel("Name or address of the LoRA").fill("ink");
  await field.getByLabel("Strength").fill("strong");
  await page.getByRole("button", { name: "Create" }).click();
  await expect
    .poll(() => field.locator(".problem").textContent(), limits)
    .toContain('"scale": a number from -10 to 10');
  await field.getByLabel("Strength").fill("0.5");
  const file = { name: "style.safetensors", mimeType: "application/octet-stream", buffer: emptyWeights() };
  await chooserOf("config.loras").setInputFiles(file);
  const added = { path: `input:${sha256(emptyWeights())}`, scale: 1 };
  await expect.poll(held, limits).toEqual([{ path: "ink", scale: 0.5 }, added]);
  await field.getByRole("button", { name: "Remove" }).first().click();
  expect(await held()).toEqual([added]);
  expect(await field.getByLabel("Name or address of the LoRA").inputValue()).toBe(added.path);
});

test("a list of pictures is rows, which chosen files are added to and seen beside", async () => {
  await page.getByLabel("Job type").selectOption("vace");
  const field = fieldOf("config.image_refs");
  const other = await makePicture("teal");
  await chooserOf("config.image_refs").setInputFiles([png("olive.png", picture), png("teal.png", other)]);
  const held = async () => JSON.parse(await control("config.image_refs").inputValue());
  const both = [address(), `input:${sha256(other)}`];
  await expect.poll(held, limits).toEqual(both);
  await expect.poll(() => field.locator(".file-thumb img").count(), limits).toBe(2);
  await field.getByRole("button", { name: "Remove" }).first().click();
  expect(await held()).toEqual(both.slice(1));
  await expect.poll(() => field.locator(".file-thumb img").count(), limits).toBe(1);
  await page.getByLabel("Job type").selectOption("sdxl_image_fast");
});

test("tokens, chunks, what is not read, and why weights cannot be read", async () => {
  const shows = (name: string, pattern: RegExp) =>
    expect.poll(() => fieldOf(name).locator(".hint").textContent(), limits).toMatch(pattern);
  await control("prompt").fill("a red apple");
  await shows("prompt", /^\d+ tokens$/);
  expect(await fieldOf("negative_prompt").locator(".hint").isVisible()).toBe(false);
  await control("negative_prompt").fill("a rocket, ".repeat(60));
  await shows("negative_prompt", /^\d+ tokens in [2-9] chunks$/);
  await page.getByLabel("Job type").selectOption("video_fast");
  await shows("prompt", /^\d+ tokens of 511$/);
  await control("prompt").fill("a rocket flies up ".repeat(400));
  await shows("prompt", /^\d+ tokens: the last \d+ are not read, 511 are$/);
});

function emptyWeights(): Buffer {
  return Buffer.from("\x02\0\0\0\0\0\0\0{}", "latin1");
}
