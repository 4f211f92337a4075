import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";
import { startTestGateway } from "./support/gateway.ts";

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

async function openConsole(at = url): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(at);
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

test("of failures that two sources have, Retry puts back those of its own group", async () => {
  const gateway = await startTestGateway();
  onTestFinished(() => gateway.close());
  const both = await startContainer({
    HANDLERS_DIR: handlers,
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    SOURCES: "upstash,sqlite",
  });
  onTestFinished(() => both.stop());
  const { runtime } = both;
  const ids = new Map<string, string>();
  for (const source of ["upstash", "sqlite"]) {
    const id = await runtime.submit("note", { needs: "/nowhere" }, { prompt: `a lake of ${source}` }, source);
    await runtime.ended(id);
    ids.set(source, id);
  }
  runtime.dispatcher.pause();
  const page = await openConsole((await both.listen()).url);
  await show(page, "Failed");
  const group = (source: string) => page.locator(".dead-queue", { hasText: `media_queue (${source})` });
  await group("upstash").waitFor();
  await group("sqlite").getByRole("button", { name: "Retry all" }).click();
  await page.getByText("1 job back on the queue.").waitFor();
  const statusOf = async (source: string) => (await runtime.queue.get(ids.get(source) ?? ""))?.status;
  expect([await statusOf("sqlite"), await statusOf("upstash")]).toEqual(["queued", "failed"]);
  await group("sqlite").waitFor({ state: "detached" });
  // With one source left, its name is not worth the place.
  await page.locator(".dead-queue", { hasText: "media_queue" }).waitFor();
  await page.context().close();
});

test("elements without a job are shown below the failures, and discarded one by one or all of a queue", async () => {
  const gateway = await startTestGateway();
  onTestFinished(() => gateway.close());
  const overRedis = await startContainer({
    HANDLERS_DIR: handlers,
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
  });
  onTestFinished(() => overRedis.stop());
  await gateway.client().lpush("media_queue", "{ a first one", "{ a second one", "<b>a third one</b>");
  const kept = () => gateway.client().llen("ourvidz:dead-letters");
  await expect.poll(kept, { timeout: 20_000 }).toBe(3);
  const page = await openConsole((await overRedis.listen()).url);
  await show(page, "Failed");
  const element = (text: string) => page.locator(".dead-queue", { hasText: text });
  await element("3 elements that hold no job").waitFor();
  await element("<b>a third one</b>").getByText("the element is not JSON").waitFor();
  expect(await element("{ a first one").getByRole("button", { name: /Retry/ }).isVisible()).toBe(false);
  await element("{ a first one").getByRole("button", { name: "Discard" }).click();
  await element("{ a first one").getByRole("button", { name: "Discard for good?" }).click();
  await element("{ a first one").waitFor({ state: "detached" });
  await element("2 elements that hold no job").waitFor();
  expect(await kept()).toBe(2);
  await element("2 elements that hold no job").getByRole("button", { name: "Discard all" }).click();
  await page.getByRole("button", { name: "Discard all of media_queue for good?" }).click();
  await page.getByText("2 elements discarded.").waitFor();
  await element("{ a second one").waitFor({ state: "detached" });
  expect(await kept()).toBe(0);
  await page.context().close();
});
