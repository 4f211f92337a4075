import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { sdxlParameters } from "#contract/sdxl.ts";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";
import { lookAgain } from "./support/console-page.ts";

const handlers = fileURLToPath(new URL("./support/console-handlers", import.meta.url));

// A browser, a server and a model on the same two cores: what takes a second alone may take many.
vi.setConfig({ testTimeout: 120_000 });

let browser: Browser;
let container: TestContainer;
let url: string;

beforeAll(async () => {
  [browser, container] = await Promise.all([startBrowser(), startContainer({ HANDLERS_DIR: handlers })]);
  url = (await container.listen()).url;
}, 300_000);

afterAll(async () => {
  await browser.close();
  await container.stop();
});

/** What a page complained about: errors of its script, of the network, and of its own security policy. */
const complaints: string[] = [];

afterEach(() => {
  expect(complaints.splice(0)).toEqual([]);
});

/** A page of a browser of its own, ready to be used. */
async function openConsole(address = url, options: BrowserContextOptions = {}): Promise<Page> {
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

async function fillJob(page: Page, type: string, fields: Record<string, string>): Promise<void> {
  await page.getByLabel("Job type").selectOption(type);
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`[name="${name}"]`);
    const group = page.locator("details", { has: field });
    if ((await group.count()) > 0 && !(await field.isVisible())) await group.locator("summary").click();
    if (await field.evaluate((control) => control.tagName === "SELECT")) await field.selectOption({ label: value });
    else await field.fill(value);
  }
}

async function createJob(page: Page, type: string, fields: Record<string, string>): Promise<void> {
  await fillJob(page, type, fields);
  await page.getByRole("button", { name: "Create" }).click();
}

const resultOf = (page: Page, prompt: string) => page.locator(".tile", { hasText: prompt });
const rowOf = (page: Page, prompt: string) => page.locator(".row", { hasText: prompt });
const activeOf = (page: Page, prompt: string) => page.locator(".card", { hasText: prompt });
const show = (page: Page, name: string) => page.locator(".choice label", { hasText: name }).click();

/** The bytes of the picture that the open dialog shows. */
async function shownPicture(page: Page): Promise<string> {
  const address = await page.locator("dialog.job .frame img").getAttribute("src");
  const response = await fetch(new URL(address ?? "", page.url()));
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer()).toString("base64");
}

/** Writes down where the bar of a running job is, each time that the page changes. */
const recordBar = `
  globalThis.seen = [];
  new MutationObserver(() => {
    const bar = document.querySelector(".card[data-state=running] progress");
    if (bar?.position > 0) seen.push(bar.value);
  }).observe(document.body, { subtree: true, attributes: true, childList: true });`;

describe("a job", () => {
  test("is created, followed and seen, and the same seed draws the same picture again", async () => {
    const page = await openConsole();
    await page.evaluate(recordBar);
    // Long enough for a page that is drawn late to show some of it.
    await createJob(page, "sdxl_image_fast", { prompt: "a red apple", "config.num_inference_steps": "60" });
    await expect.poll(() => resultOf(page, "a red apple").count(), { timeout: 40_000 }).toBe(1);
    const seen = await page.evaluate<number[]>("seen");
    expect(new Set(seen).size).toBeGreaterThan(2);
    expect(seen).toEqual(seen.toSorted((one, other) => one - other));

    await resultOf(page, "a red apple").getByRole("button").click();
    const dialog = page.getByRole("dialog");
    const facts = await dialog.locator(".group").first().innerText();
    expect(facts).toMatch(/Seed\s+\d+/);
    expect(facts).toMatch(/Inference steps\s+60/);
    const first = await shownPicture(page);
    await dialog.getByRole("button", { name: "Again with this seed" }).click();
    await dialog.waitFor({ state: "hidden" });
    await expect.poll(() => resultOf(page, "a red apple").count(), { timeout: 40_000 }).toBe(2);
    await resultOf(page, "a red apple").first().getByRole("button").click();
    expect(await shownPicture(page)).toBe(first);
    expect(await dialog.locator(".group").first().innerText()).toContain(/Seed\s+\d+/.exec(facts)?.[0]);
    await page.context().close();
  });

  test("of several pictures: each one's seed draws that one, with all the job's fields", async () => {
    const page = await openConsole();
    const small = { "config.width": "64", "config.height": "64", "config.num_inference_steps": "2" };
    const fields = { prompt: "three lakes", negative_prompt: "fog", "config.num_images": "3", ...small };
    await createJob(page, "sdxl_image_fast", fields);
    await resultOf(page, "three lakes").getByRole("button").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("1 of 3").waitFor();
    await page.keyboard.press("ArrowRight");
    await dialog.getByText("2 of 3").waitFor();
    const second = await shownPicture(page);
    await dialog.getByRole("button", { name: "Again with this seed" }).click();
    await expect.poll(() => resultOf(page, "three lakes").count(), { timeout: 40_000 }).toBe(2);
    await resultOf(page, "three lakes").first().getByRole("button").click();
    expect(await shownPicture(page)).toBe(second);
    expect(await dialog.locator(".place").isVisible()).toBe(false);
    expect(await dialog.locator(".group").first().innerText()).toMatch(/Negative prompt\s+fog/);
    await page.context().close();
  });

  test("is cancelled while it runs", async () => {
    const page = await openConsole();
    const fields = {
      prompt: "a slow river",
      "config.num_inference_steps": "150",
      "config.width": "512",
      "config.height": "512",
    };
    await createJob(page, "sdxl_image_fast", fields);
    const card = activeOf(page, "a slow river");
    await card.getByText(/step \d+ of 150/).waitFor();
    await card.getByRole("button", { name: "Cancel" }).click();
    await card.waitFor({ state: "detached" });
    await show(page, "Cancelled");
    await rowOf(page, "a slow river").waitFor();
    await page.context().close();
  });

  test("that failed shows why, and is retried", async () => {
    const page = await openConsole();
    const needed = join(container.runtime.folder, randomUUID());
    await createJob(page, "note", { prompt: "write of the sea", "config.needs": needed });
    await show(page, "Failed");
    const row = rowOf(page, "write of the sea");
    await row.getByText("INPUT_NOT_FOUND <b>The file</b> that the note needs is not there.").waitFor();
    await page.getByText(/media_queue INPUT_NOT_FOUND note · 1 failed job · last/).waitFor();
    await writeFile(needed, "");
    await row.getByRole("button", { name: "Retry" }).click();
    await row.waitFor({ state: "detached" });
    await show(page, "Finished");
    await resultOf(page, "write of the sea").getByRole("button").click();
    await page.getByRole("dialog").locator("pre", { hasText: "write of the sea" }).waitFor();
    await page.context().close();
  });

  test("that is retried by somebody else is seen to run again", async () => {
    const page = await openConsole();
    const needed = join(container.runtime.folder, randomUUID());
    await createJob(page, "note", { prompt: "write of the dunes", "config.needs": needed });
    await show(page, "Failed");
    const row = rowOf(page, "write of the dunes");
    await row.waitFor();
    await writeFile(needed, "");
    const { jobs } = await container.runtime.queue.list({ status: "failed", limit: 10 });
    const failed = jobs.find(({ job }) => job.prompt === "write of the dunes");
    await container.runtime.queue.redrive(failed?.job.id ?? "");
    await lookAgain(page);
    await row.waitFor({ state: "detached" });
    await show(page, "Finished");
    await resultOf(page, "write of the dunes").waitFor();
    await page.context().close();
  });

  test("is refused with each problem at its field", async () => {
    const page = await openConsole();
    const wrong = {
      prompt: "a meadow",
      "config.num_inference_steps": "500",
      "config.width": "100",
      "config.seed": "-1",
    };
    await createJob(page, "sdxl_image_fast", wrong);
    await page.locator('[name="config.num_inference_steps"][aria-invalid="true"]').waitFor();
    const problems = await page.locator(".field.wrong").allInnerTexts();
    expect(problems.map((text) => text.replaceAll(/\s+/g, " "))).toEqual([
      expect.stringMatching(/^Width must be a multiple of 8/),
      expect.stringContaining("Height must be given together with config.width"),
      expect.stringContaining("Inference steps must be a whole number from 1 to 150"),
      expect.stringContaining("Seed must be a whole number from 0"),
    ]);
    expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
    await page.context().close();
  });
});

describe("the form", () => {
  const fieldsOf = (page: Page) =>
    page
      .locator("[data-part=fields] [name]")
      .evaluateAll((controls) => controls.map((control) => control.getAttribute("name")));
  const shownIn = (page: Page, name: string) => page.locator(`[name="config.${name}"]`).getAttribute("placeholder");
  const queueing = ["user_id", "priority", "bucket", "delay_seconds", "idempotency_key", "webhook_url"];

  test("of an image type has what its pipeline reads, with the values that will be used", async () => {
    const page = await openConsole();
    await page.getByLabel("Job type").selectOption("sdxl_image_fast");
    const parameters = Object.keys(sdxlParameters.shape).map((name) => `config.${name}`);
    const others = ["prompt", "negative_prompt", "model_variant", "image_id", "video_id", "character_id", "metadata"];
    const addresses = ["mask_image_url", "control_image_url", "ip_adapter_image_url"].map((name) => `config.${name}`);
    const controls = ["config.control_type", "config.guess_mode"];
    const weights = ["compel_enabled", "compel_weights"];
    const fields = (await fieldsOf(page)).filter((name) => !name?.startsWith("metadata."));
    expect(fields.toSorted()).toEqual(
      [...parameters, ...addresses, ...controls, ...others, ...weights, ...queueing].toSorted(),
    );
    expect(await shownIn(page, "guidance_scale")).toBe("2");
    expect(await shownIn(page, "num_inference_steps")).toBe("15");
    expect(await shownIn(page, "width")).toBe("128");
    await page.getByLabel("Job type").selectOption("sdxl_image_high");
    expect(await shownIn(page, "guidance_scale")).toBe("2.5");
    expect(await shownIn(page, "num_inference_steps")).toBe("25");
    await page.context().close();
  });

  test("of the documented example has its own parameters, and draws with them", async () => {
    const page = await openConsole();
    await page.getByLabel("Job type").selectOption("stripes");
    expect((await fieldsOf(page)).filter((name) => name?.includes("config"))).toEqual([
      "config.width",
      "config.height",
      "config.stripes",
    ]);
    expect(await shownIn(page, "stripes")).toBe("8");
    await createJob(page, "stripes", { prompt: "a beach", "config.stripes": "65" });
    await page.locator(".field.wrong", { hasText: /Stripes\s*must be at most 64/ }).waitFor();
    expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
    await createJob(page, "stripes", { prompt: "a beach", "config.stripes": "3" });
    await resultOf(page, "a beach").getByRole("button").click();
    expect(await page.getByRole("dialog").locator(".group").first().innerText()).toMatch(/Stripes\s+3/);
    await page.context().close();
  });

  test("takes a job under other names, and leaves out what nothing reads", async () => {
    const config = { steps: 2, size: "64*64", novelty: 1, seed: 5 };
    await container.runtime.ended(await container.runtime.submit("sdxl_image_fast", config, { prompt: "two hills" }));
    const page = await openConsole();
    await resultOf(page, "two hills").getByRole("button").click();
    await page.getByRole("button", { name: "Edit as new job" }).click();
    const givenIn = (name: string) => page.locator(`[name="config.${name}"]`).inputValue();
    const given = () => Promise.all(["num_inference_steps", "width", "height", "seed"].map(givenIn));
    // The whole job is read first.
    await expect.poll(given).toEqual(["2", "64", "64", "5"]);
    await page.context().close();
  });
});

test("what users wrote is shown as text", async () => {
  const page = await openConsole();
  const attack = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;
  await createJob(page, "note", { prompt: attack });
  const tile = page.locator(".tile", { hasText: "<img src=x" });
  await tile.getByRole("button").click();
  await expect.poll(() => page.locator("dialog.job h2").textContent()).toBe(attack);
  await page.locator("dialog.job pre", { hasText: "<script>" }).waitFor();
  expect(await page.title()).toBe("OurVidz Worker");
  expect(await page.locator("img[src='x']").count()).toBe(0);
  await page.context().close();
});

test("taking jobs is paused and resumed", async () => {
  const page = await openConsole();
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.locator(".health", { hasText: "Paused" }).waitFor();
  await createJob(page, "note", { prompt: "wait for me" });
  await page.locator(".line", { hasText: "wait for me" }).getByText("queued").waitFor();
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await resultOf(page, "wait for me").waitFor();
  await page.locator(".health", { hasText: "Healthy" }).waitFor();
  await page.context().close();
});

test("a model that is not there is a line, a broken one an alarm, and a job says what it waits for", async () => {
  const models = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  const limited = await startContainer({ HANDLERS_DIR: handlers, MODELS_DIR: models });
  onTestFinished(async () => {
    await limited.stop();
    await rm(models, { recursive: true, force: true });
  });
  await limited.runtime.submit("sdxl_image_fast");
  const page = await openConsole((await limited.listen()).url);
  onTestFinished(() => page.context().close());
  const strip = page.getByRole("region", { name: "What cannot run here" });
  const line = page.getByText("1 model is not here: sdxl. Its jobs are left to other containers.");
  await line.click();
  await page.getByText(/^The model "sdxl" is missing: .+ Fetch one \(ourvidz models pull\)/).waitFor();
  expect(await strip.isVisible()).toBe(false);
  await page.getByText("needs job type sdxl_image_fast and its model; no container offers it").waitFor();
  await page.getByLabel("Job type").selectOption("sdxl_image_fast");
  await page.getByText("This container has no model sdxl that works at present:").waitFor();

  const folder = join(models, "sdxl");
  await mkdir(folder);
  await writeFile(join(folder, "model_index.json"), "{");
  await strip.getByText("Jobs with the model sdxl").waitFor();
  await strip.getByText("is cut off").waitFor();
  await line.waitFor({ state: "hidden" });

  await rm(folder, { recursive: true });
  await symlink(fileURLToPath(new URL("../models/tiny-sdxl", import.meta.url)), folder);
  await strip.waitFor({ state: "hidden" });
});

test("works by keyboard: the dialog keeps the focus, and Escape gives it back", async () => {
  await container.runtime.ended(await container.runtime.submit("note", {}, { prompt: "only keys" }));
  const page = await openConsole();
  const tile = resultOf(page, "only keys").getByRole("button");
  await tile.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  for (let press = 0; press < 12; press++) {
    await page.keyboard.press("Tab");
    // Between the last and the first control the focus may be with the browser's own window.
    expect(await page.locator(":focus").count()).toBe(await page.locator("dialog :focus").count());
  }
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  expect(await page.locator(".tile button:focus", { hasText: "only keys" }).count()).toBe(1);
  await page.context().close();
});

test("fits a phone: nothing is wider than the screen", async () => {
  await container.runtime.ended(await container.runtime.submit("note", {}, { prompt: "w".repeat(300) }));
  const page = await openConsole(url, { viewport: { width: 375, height: 700 }, hasTouch: true });
  const isTooWide = () => page.evaluate<boolean>("document.documentElement.scrollWidth > innerWidth");
  const tile = resultOf(page, "wwww").getByRole("button");
  await tile.waitFor();
  for (const name of ["Failed", "Cancelled", "Finished"]) {
    await show(page, name);
    expect(await isTooWide(), name).toBe(false);
  }
  await page.getByRole("button", { name: "New job" }).click();
  for (const summary of await page.locator("#new-job-form summary").all()) await summary.click();
  expect(await isTooWide(), "form").toBe(false);
  await tile.click();
  expect(await page.evaluate<boolean>("document.querySelector('dialog.job').scrollWidth > innerWidth")).toBe(false);
  await page.getByRole("button", { name: "Close" }).click();
  await page.context().close();
});

describe("with a key", () => {
  test("asks for it, refuses a wrong one, and keeps the right one for its tab only", async () => {
    const locked = await startContainer({ HANDLERS_DIR: handlers, WAN_WORKER_API_KEY: testKey });
    try {
      const { url: address } = await locked.listen();
      const page = await openConsole(address);
      const addresses: string[] = [];
      page.on("request", (request) => addresses.push(request.url()));
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Key").fill("a-wrong-key-that-is-long");
      await page.keyboard.press("Enter");
      await dialog.getByText("The container does not know this key.").waitFor();
      await dialog.getByLabel("Key").fill(testKey);
      await page.keyboard.press("Enter");
      await dialog.waitFor({ state: "hidden" });
      await createJob(page, "note", { prompt: "behind a key" });
      await resultOf(page, "behind a key").waitFor();
      // Each refusal is a line that the browser itself writes.
      expect(complaints.splice(0).filter((text) => !text.includes("401"))).toEqual([]);
      await page.reload();
      await resultOf(page, "behind a key").waitFor();
      expect(addresses.filter((one) => one.includes(testKey))).toEqual([]);
      expect(await page.evaluate("[localStorage.length, document.cookie]")).toEqual([0, ""]);
      await page.getByRole("button", { name: "Forget key" }).click();
      await dialog.getByLabel("Key").waitFor();
      expect(await page.evaluate("sessionStorage.length")).toBe(0);
      expect(complaints.splice(0).filter((text) => !text.includes("401"))).toEqual([]);
      await page.context().close();
    } finally {
      await locked.stop();
    }
  });
});
