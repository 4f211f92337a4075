import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";

/* Getting rid of jobs on the console: one, and a group of failures. */

const handlers = fileURLToPath(new URL("./support/console-handlers", import.meta.url));

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

async function openConsole(): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(url);
  await page.locator("body[data-ready=true]").waitFor();
  return page;
}

const show = (page: Page, name: string) => page.locator(".choice label", { hasText: name }).click();
const rowOf = (page: Page, prompt: string) => page.locator(".row", { hasText: prompt });
const resultOf = (page: Page, prompt: string) => page.locator(".tile", { hasText: prompt });

test("a job that failed for good is not offered to be retried, and is discarded", async () => {
  const page = await openConsole();
  const { runtime } = container;
  for (const prompt of ["a square lake", "a round hill"])
    await runtime.ended(await runtime.submit("note", { refuse: "A lake cannot be a square." }, { prompt }));
  await show(page, "Failed");
  const row = rowOf(page, "a square lake");
  await row.waitFor();
  expect(await row.getByRole("button", { name: "Retry" }).isVisible()).toBe(false);
  await row.getByRole("button", { name: "Discard" }).click();
  await row.getByRole("button", { name: "Discard for good?" }).click();
  await row.waitFor({ state: "detached" });
  const group = page.locator(".dead-queue", { hasText: "HANDLER_FAILED" });
  await group.getByText("note · 1 failed job").waitFor();
  await group.getByText("A lake cannot be a square.").waitFor();
  expect(await group.getByRole("button", { name: /Retry/ }).isVisible()).toBe(false);
  await group.getByRole("button", { name: "Discard all" }).click();
  await group.getByRole("button", { name: "Discard 1 job for good?" }).click();
  await group.waitFor({ state: "detached" });
  await page.getByText("1 job discarded.").waitFor();
  await rowOf(page, "a round hill").waitFor({ state: "detached" });
  expect((await runtime.queue.list({ status: "failed", type: "note", limit: 9 })).jobs).toEqual([]);
  await page.context().close();
});

test("a job that has finished is discarded with its file", async () => {
  const page = await openConsole();
  const { runtime } = container;
  const id = await runtime.submit("note", {}, { prompt: "write of a fir tree" });
  await runtime.ended(id);
  await show(page, "Finished");
  await resultOf(page, "write of a fir tree").getByRole("button").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Discard" }).click();
  await dialog.getByRole("button", { name: "Discard for good, with its files?" }).click();
  await resultOf(page, "write of a fir tree").waitFor({ state: "detached" });
  expect(await runtime.queue.get(id)).toBeNull();
  await expect(access(runtime.files.locate("note", `anonymous/${id}/0.txt`))).rejects.toMatchObject({
    code: "ENOENT",
  });
  await page.context().close();
});
