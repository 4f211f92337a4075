import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";
import { openConsole, violationsOn } from "./support/console-page.ts";

/* The console with many jobs, long texts and little room, in a real Chromium. */

vi.setConfig({ testTimeout: 180_000 });
const poll = { timeout: 60_000 };

const longPrompt = "a lighthouse on a cliff above the sea at night, with a lamp that turns, ".repeat(60).slice(0, 3500);
const longError = "Cannot read the file: line after line of a traceback that somebody put here. "
  .repeat(200)
  .slice(0, 10_000);

let browser: Browser;
let container: TestContainer;
let url: string;

beforeAll(async () => {
  const handlers = fileURLToPath(new URL("support/console-handlers", import.meta.url));
  const starts = [startBrowser(), startContainer({ HANDLERS_DIR: handlers, WORKERS: "media,sdxl" })] as const;
  [browser, container] = await Promise.all(starts);
  url = (await container.listen()).url;
}, 300_000);

afterAll(async () => {
  await browser.close();
  await container.stop();
});

const show = (page: Page, name: string) => page.locator(".choice label", { hasText: name }).click();
const dialog = (page: Page) => page.locator("dialog.job");

async function ended(type: string, prompt: string, config: object = {}, fields: object = {}): Promise<string> {
  const id = await container.runtime.submit(type, { ...config }, { prompt, ...fields });
  await container.runtime.ended(id);
  return id;
}

/** No jobs are taken until the test is over. */
async function pauseForTest(): Promise<void> {
  await container.call("POST", "/worker/pause", { body: {} });
  onTestFinished(async () => {
    await container.call("POST", "/worker/resume", { body: {} });
  });
}

/** Which of the buttons cannot be hit where they are: outside of the window, or behind something. */
async function outOfSight(place: Locator): Promise<string[]> {
  return place.evaluate((element) => {
    const shown = [...element.querySelectorAll("button, a.button")].filter((each) => each.checkVisibility());
    const missing = shown.filter((each) => {
      const { left, top, width, height } = each.getBoundingClientRect();
      const hit = element.ownerDocument.elementFromPoint(left + width / 2, top + height / 2);
      return hit === null || !each.contains(hit);
    });
    return missing.map((each) => each.textContent ?? "");
  });
}

describe.each([
  [1280, 620],
  [375, 700],
])("at %i × %i", (width, height) => {
  const viewport = { width, height };

  test("a long prompt and a long error leave every button in sight", async () => {
    const drawn = await ended("stripes", longPrompt);
    const failed = await ended("note", longPrompt, { refuse: longError });
    const page = await openConsole(browser, `${url}/#/jobs/${drawn}`, { viewport });
    await dialog(page).locator(".frame img").waitFor();
    for (const id of [drawn, failed]) {
      await page.goto(`${url}/#/jobs/${id}`);
      await dialog(page)
        .getByRole("button", { name: `Copy the id ${id}` })
        .waitFor();
      for (const part of [".about-head", ".about-foot"])
        expect(await outOfSight(dialog(page).locator(part))).toEqual([]);
    }
    expect(await dialog(page).locator("[data-part=job-failure-text]").textContent()).toContain(
      longError.slice(0, 2000),
    );
    const prompt = dialog(page).locator("h2");
    const clamped = await prompt.evaluate(({ clientHeight }) => clientHeight);
    expect(clamped).toBeLessThan(130);
    await dialog(page).getByRole("button", { name: "Show all" }).click();
    expect(await prompt.evaluate(({ clientHeight }) => clientHeight)).toBeGreaterThan(clamped);
    expect(await outOfSight(dialog(page).locator(".about-foot"))).toEqual([]);
    await page.keyboard.press("Escape");
    await show(page, "Failed");
    const rows = page.locator(".row", { hasText: "lighthouse" });
    await rows.first().waitFor();
    expect(await rows.first().evaluate(({ clientHeight }) => clientHeight)).toBeLessThan(260);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    await container.runtime.queue.discard(failed);
  });
});

test.each([
  [1280, 620],
  [1024, 600],
  [375, 700],
])("at %i × %i the form begins in sight, and Create lies over none of it", async (width, height) => {
  const page = await openConsole(browser, url, { viewport: { width, height } });
  if (width < 981) await page.getByRole("button", { name: "New job" }).click();
  const create = page.getByRole("button", { name: "Create" });
  const types = await page.locator("[data-part=type] option").allTextContents();
  for (const type of types) {
    await page.getByLabel("Job type").selectOption(type);
    const bar = await create.boundingBox();
    for (const control of await page.locator('[data-part=type], [name="prompt"], .enhance-bar').all()) {
      const box = await control.boundingBox();
      expect([type, box, bar]).toSatisfy(() => isInside(box, height) && isInside(bar, height) && !isOver(bar, box));
    }
  }
});

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const isInside = (box: Box | null, height: number) => box !== null && box.y >= 0 && box.y + box.height <= height;

function isOver(one: Box | null, other: Box | null): boolean {
  if (one === null || other === null) return false;
  const isApart = (from: "x" | "y", size: "width" | "height") =>
    one[from] + one[size] <= other[from] || other[from] + other[size] <= one[from];
  return !isApart("x", "width") && !isApart("y", "height");
}

test("jobs that wait are lines in the order in which they will run, five and the rest on demand", async () => {
  await pauseForTest();
  const ids: string[] = [];
  for (let number = 1; number <= 12; number++) {
    const fields = { prompt: `wait ${number}`, priority: number === 9 ? 5 : 0 };
    ids.push(await container.runtime.submit("stripes", {}, fields));
  }
  const page = await openConsole(browser, url);
  const lines = page.locator(".line");
  const prompts = () => page.locator(".line-prompt").allTextContents();
  await expect.poll(prompts, poll).toEqual(["wait 9", "wait 1", "wait 2", "wait 3", "wait 4"]);
  expect(await page.locator(".card").count()).toBe(0);
  await page.getByRole("button", { name: "7 more" }).click();
  expect(await lines.count()).toBe(12);
  await lines.filter({ hasText: "wait 12" }).getByRole("button", { name: "Cancel" }).click();
  await expect.poll(() => lines.count(), poll).toBe(11);
  await page.getByText(/^“wait 12” \([0-9a-f]{8}\) is cancelled\.$/).waitFor();
  await page.getByRole("button", { name: "Show less" }).click();
  expect(await lines.count()).toBe(5);
  for (const id of ids.slice(0, 11)) await container.runtime.queue.cancel(id);
});

describe("a job", () => {
  test("has an address, is linked to, copied and downloaded under a name", async () => {
    const id = await ended("stripes", "A beach, at noon!");
    const page = await openConsole(browser, url, { permissions: ["clipboard-read", "clipboard-write"] });
    await page.locator(".tile", { hasText: "A beach" }).first().getByRole("button").click();
    await dialog(page).getByRole("button", { name: "Copy link" }).click();
    await page.getByText("The link is copied.").waitFor();
    const link = `${url}/#/jobs/${id}`;
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(link);
    await dialog(page)
      .getByRole("button", { name: `Copy the id ${id}` })
      .click();
    await page.getByText("The id is copied.").waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(id);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      dialog(page).getByRole("button", { name: "Download" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`a-beach-at-noon-${id.slice(0, 8)}.png`);
    await page.goBack();
    await dialog(page).waitFor({ state: "hidden" });
    await page.goForward();
    await dialog(page).waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => page.url(), poll).toBe(`${url}/`);
  });

  test("that is on no list is opened by its address; one that is nowhere is named", async () => {
    const id = await ended("note", "a note that fails", { refuse: "No." });
    const page = await openConsole(browser, `${url}/#/jobs/${id}`);
    await dialog(page).getByText("a note that fails").first().waitFor();
    expect(await dialog(page).locator("[data-part=job-failure-text]").textContent()).toBe("No.");
    await page.goto(`${url}/#/jobs/${randomUUID()}`);
    await page.locator(".toast", { hasText: /no job/i }).waitFor();
    await dialog(page).waitFor({ state: "hidden" });
    await container.runtime.queue.discard(id);
  });

  test("of several pictures shows them all, to choose from", async () => {
    const config = { num_images: 3, num_inference_steps: 1, width: 64, height: 64 };
    const id = await ended("sdxl_image_fast", "a red apple", config);
    const page = await openConsole(browser, `${url}/#/jobs/${id}`, { bypassCSP: true });
    const strip = dialog(page).getByRole("group", { name: "All pictures" }).getByRole("button");
    await expect.poll(() => strip.count(), poll).toBe(3);
    await strip.nth(2).click();
    await dialog(page).getByText("3 of 3").waitFor();
    expect(await strip.nth(2).getAttribute("aria-current")).toBe("true");
    const shown = new URL((await dialog(page).locator(".frame img").getAttribute("src")) ?? "", url);
    expect(shown.pathname).toMatch(/2\.png$/);
    expect(await violationsOn(page)).toEqual([]);
  });
});

test("results are narrowed by text, type and user", async () => {
  const user = randomUUID();
  const drawn = await ended("stripes", "a harbour", {}, { user_id: user });
  await ended("note", "a harbour in words", {}, { user_id: user });
  const other = await ended("stripes", "a meadow");
  const page = await openConsole(browser, url);
  const found = () => page.locator(".tile-prompt").allTextContents();
  const search = page.getByLabel("Search prompts, ids and errors");
  await search.fill("HARBOUR");
  await expect.poll(found, poll).toEqual(["a harbour in words", "a harbour"]);
  await page.getByText(/^2 jobs of the newest \d+$/).waitFor();
  await page.getByLabel("Type of the results").selectOption("stripes");
  await expect.poll(found, poll).toEqual(["a harbour"]);
  await page.getByLabel("Type of the results").selectOption("All types");
  await search.fill(other.slice(0, 8));
  await expect.poll(found, poll).toEqual(["a meadow"]);
  await search.fill("");
  await page.getByLabel("User of the results").fill(user);
  await expect.poll(found, poll).toEqual(["a harbour in words", "a harbour"]);
  await search.fill("nothing like it");
  await page.getByText("No such job.").waitFor();
  // One that ends meanwhile is shown only where it belongs.
  await ended("stripes", "a dune");
  await search.fill(drawn);
  await expect.poll(found, poll).toEqual(["a harbour"]);
});

test("a list of hundreds is made a part in each frame, and its elements stay those of their entries", async () => {
  const page = await openConsole(browser, url);
  const seen = await page.evaluate(`(async () => {
    const { LongList } = await import("/console/long-list.js");
    const place = document.body.appendChild(document.createElement("div"));
    const list = new LongList(place, "rows", {
      key: String,
      make: () => document.createElement("li"),
      update: (made, entry) => { made.textContent = entry; },
    });
    const sizes = () => [...place.children].filter((each) => !each.hidden).map((each) => each.childElementCount);
    const texts = () => [...place.querySelectorAll("li")].map((each) => each.textContent);
    const frames = (entries) => { let count = 1; while (list.show(entries)) count++; return count; };
    const numbers = Array.from({ length: 250 }, (_, index) => index);
    const made = [frames(numbers), sizes()];
    const before = [...place.querySelectorAll("li")];
    const changed = ["new", ...numbers.filter((each) => each !== 100)];
    const again = [frames(changed), sizes(), texts().join() === changed.join()];
    const kept = before.filter((each) => each.isConnected).length;
    const isEmptied = [list.show([]), sizes(), frames([]), place.childElementCount];
    place.remove();
    return { made, again, kept, isEmptied };
  })()`);
  expect(seen).toEqual({
    made: [3, [60, 60, 60, 60, 10]],
    again: [1, [60, 60, 60, 60, 10], true],
    kept: 249,
    isEmptied: [false, [], 1, 0],
  });
});

test("on a phone the jobs come first, and what is created is seen", async () => {
  await pauseForTest();
  const page = await openConsole(browser, url, { viewport: { width: 375, height: 700 }, hasTouch: true });
  expect(await page.locator('[name="prompt"]').isVisible()).toBe(false);
  await page.getByRole("button", { name: "New job" }).click();
  await page.getByLabel("Job type").selectOption("stripes");
  await page.locator('[name="prompt"]').fill("a lake");
  await page.getByRole("button", { name: "Create" }).click();
  const line = page.locator(".line", { hasText: "a lake" });
  await line.waitFor();
  const isInSight = () =>
    line.evaluate((each) => {
      const { top, bottom } = each.getBoundingClientRect();
      return top > 0 && bottom < 700;
    });
  await expect.poll(isInSight, poll).toBe(true);
  await page.getByText(/^“a lake” \([0-9a-f]{8}\) is created\.$/).waitFor();
  await line.getByRole("button", { name: "Cancel" }).click();
  await line.waitFor({ state: "detached" });
});

test("a worker is restarted at the second click", async () => {
  const page = await openConsole(browser, url);
  const restart = page.getByRole("button", { name: "Restart the worker media" });
  await restart.click();
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.url().endsWith("/worker/restart/media")),
    restart.click(),
  ]);
  expect(answer.status()).toBe(202);
  await page.locator(".fact", { hasText: "media" }).getByText("ready").waitFor();
});

test("the form warns far from a model's own size", async () => {
  const page = await openConsole(browser, url);
  await page.getByLabel("Job type").selectOption("sdxl_image_fast");
  await page.locator('[name="config.width"]').fill("768");
  await page.locator('[name="config.height"]').fill("1024");
  await page.getByText("Far from this model’s own size, 128 × 128: expect noise or repeated parts.").waitFor();
  await page.locator('[name="config.width"]').fill("160");
  await page.locator('[name="config.height"]').fill("128");
  await page.getByText("Far from this model’s own size").waitFor({ state: "hidden" });
});
