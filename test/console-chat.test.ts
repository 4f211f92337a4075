import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";
import { openConsole, violationsOn } from "./support/console-page.ts";

/* The console's chat panel and its button Enhance, in a real Chromium, with the model that ships and with one that never ends. */

vi.setConfig({ testTimeout: 180_000 });
const poll = { timeout: 60_000 };
const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

let browser: Browser;
/** With the models that ship. */
let container: TestContainer;
let url: string;
/** Whose language model goes on until it is ended, and where one may wait. */
let endless: TestContainer;
let endlessUrl: string;

beforeAll(async () => {
  const talk = {
    HANDLERS_DIR: folder("support/talk-handlers"),
    MODELS_DIR: folder("../models"),
    CALLS_WAITING_MAX: "1",
  };
  const shipped = { HANDLERS_DIR: folder("../handlers"), MODELS_DIR: folder("../models"), WORKERS: "chat,sdxl" };
  [browser, container, endless] = await Promise.all([startBrowser(), startContainer(shipped), startContainer(talk)]);
  [{ url }, { url: endlessUrl }] = await Promise.all([container.listen(), endless.listen()]);
  await Promise.all([container, endless].map(isReady));
}, 300_000);

afterAll(async () => {
  await browser.close();
  await Promise.all([container.stop(), endless.stop()]);
});

const isReady = (each: TestContainer) =>
  vi.waitFor(async () => expect((await each.call("GET", "/ready")).status).toBe(200), poll);

const turns = (page: Page) => page.locator(".turn-text").allTextContents();
const log = (page: Page) => page.getByRole("log", { name: "Conversation" });
const idle = (each: TestContainer) => expect.poll(() => each.runtime.calls.active, poll).toBe(0);

async function openChat(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Chat", exact: true }).click();
  await page.getByRole("dialog", { name: "Chat" }).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
}

describe("the chat panel", () => {
  test("answers as the model writes, by keyboard alone, is there again after a reload, and begins anew", async () => {
    const page = await openConsole(browser, url);
    await page.getByRole("button", { name: "Chat", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Chat" }).waitFor();
    await page.keyboard.type("What can you draw?");
    await page.keyboard.press("Enter");
    await page.locator(".turn .small", { hasText: /^tiny-qwen · \d+ tokens · / }).waitFor();
    const [question, answer] = await turns(page);
    expect(question).toBe("What can you draw?");
    expect(answer).toMatch(/apple/);
    await expect.poll(() => log(page).getAttribute("aria-busy"), poll).toBe("false");
    expect(new URL(page.url()).hash).toBe("#/chat");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Chat" }).waitFor({ state: "hidden" });
    await expect.poll(() => new URL(page.url()).hash, poll).toBe("");
    expect(await page.locator("[data-part=chat-open]:focus").count()).toBe(1);
    const session = `/chat/sessions/${await page.evaluate<string>("sessionStorage.getItem('ourvidz.chat')")}`;
    await page.reload();
    await openChat(page);
    await expect.poll(() => turns(page), poll).toEqual([question, answer]);
    await page.getByRole("button", { name: "New session" }).click();
    expect(await turns(page)).toEqual([]);
    expect(await page.locator("textarea:focus").count()).toBe(1);
    await expect.poll(async () => (await container.call("GET", session)).status, poll).toBe(404);
  });

  test("sends the settings, and says which of them the container refuses", async () => {
    const page = await openConsole(browser, `${url}/#/chat`);
    await page.getByText("Settings", { exact: true }).click();
    await page.getByLabel("Tokens at most").fill("3");
    await page.getByLabel("Temperature").fill("0");
    await say(page, "What can you draw?");
    await page.locator(".turn .small", { hasText: "3 tokens" }).filter({ hasText: "ended at its limit" }).waitFor();
    await page.getByLabel("Temperature").fill("3");
    await say(page, "And what else?");
    await page
      .getByRole("alert")
      .filter({ hasText: /temperature must be a number from 0 to 2/ })
      .waitFor();
    // What was not answered can be sent again.
    expect(await page.getByLabel("Message").inputValue()).toBe("And what else?");
    await page.getByLabel("Temperature").fill("warm");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByRole("alert").filter({ hasText: "The temperature must be a number." }).waitFor();
  });

  test("is stopped: what came stays, and the model is free", async () => {
    const page = await openConsole(browser, endlessUrl);
    await openChat(page);
    await say(page, "go on");
    await page.locator(".turn-text", { hasText: "line 3" }).waitFor();
    expect(await log(page).getAttribute("aria-busy")).toBe("true");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.locator(".turn .small", { hasText: "Stopped." }).waitFor();
    expect((await turns(page)).at(-1)).toContain("line 3\n");
    await idle(endless);
  });

  test("stays at the end for a reader who is there, and leaves alone one who is not", async () => {
    const page = await openConsole(browser, endlessUrl);
    await openChat(page);
    await say(page, "go on");
    const fromEnd = () =>
      page.evaluate<number>(
        "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('.chat-log'))",
      );
    const grows = async () => {
      const before = ((await turns(page)).at(-1) ?? "").length;
      await expect.poll(async () => ((await turns(page)).at(-1) ?? "").length, poll).toBeGreaterThan(before + 20);
    };
    await page.locator(".turn-text", { hasText: "line 70" }).waitFor();
    expect(await fromEnd()).toBeLessThan(2);
    await page.evaluate("document.querySelector('.chat-log').scrollTop = 100");
    await grows();
    expect(await page.evaluate("document.querySelector('.chat-log').scrollTop")).toBe(100);
    await page.getByRole("button", { name: "To the newest" }).click();
    await grows();
    expect(await fromEnd()).toBeLessThan(2);
    await page.getByRole("button", { name: "New session" }).click();
    await idle(endless);
  });

  test("shows a long answer as text, bounded, and not wider than a phone", async () => {
    const page = await openConsole(browser, endlessUrl, { viewport: { width: 375, height: 700 } });
    await openChat(page);
    await say(page, "long");
    await page.locator(".turn .small", { hasText: "2 older messages had no room" }).waitFor();
    const answer = (await turns(page)).at(-1) ?? "";
    expect(answer).toMatch(/^<img src=x onerror=.*… \(the rest is not shown\)$/);
    expect(answer.length).toBeLessThan(51_000);
    expect(await page.title()).toBe("OurVidz Worker");
    const widths = "[...document.querySelectorAll('dialog.chat, .chat-log')].map((each) => each.scrollWidth)";
    expect(await page.evaluate(widths)).toEqual([
      expect.toSatisfy((width) => width <= 375),
      expect.toSatisfy((width) => width <= 375),
    ]);
    expect(await page.getByRole("button", { name: "Send" }).isVisible()).toBe(true);
  });

  test("says when there is no room, and when to try again", async () => {
    const pages = await Promise.all([1, 2, 3].map(() => openConsole(browser, endlessUrl)));
    const { calls } = endless.runtime;
    for (const [index, page] of pages.entries()) {
      await openChat(page);
      await say(page, "go on");
      const inAll = () => calls.active + calls.waiting("chat");
      if (index < 2) await expect.poll(inAll, poll).toBe(index + 1);
    }
    await pages
      .at(-1)
      ?.getByRole("alert")
      .filter({ hasText: /Try again in \d+ (?:s|min)/ })
      .waitFor();
    for (const page of pages.slice(0, 2)) await page.getByRole("button", { name: "Stop" }).click();
    await idle(endless);
  });

  test("says what to do where there is no model, or nothing that runs it", async () => {
    const models = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
    const handlers = folder("support/talk-handlers");
    const without = await startContainer({ HANDLERS_DIR: handlers, MODELS_DIR: models, WORKERS: "media" });
    onTestFinished(async () => {
      await without.stop();
      await rm(models, { recursive: true });
    });
    const page = await openConsole(browser, (await without.listen()).url);
    await openChat(page);
    await page.getByRole("alert").filter({ hasText: "Put one into its models folder as “chat”" }).waitFor();
    expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    await symlink(folder("../models/tiny-qwen"), join(models, "chat"));
    await openChat(page);
    await page.locator("[data-part=chat-send]:enabled").waitFor();
    await say(page, "What can you draw?");
    await page.getByRole("alert").filter({ hasText: "Start the container with “chat” among its WORKERS." }).waitFor();
  });
});

describe("Enhance", () => {
  const box = (page: Page) => page.locator(".enhance");
  const prompt = (page: Page) => page.locator('[name="prompt"]');

  async function enhanced(page: Page, name = "Enhance"): Promise<string> {
    await box(page).getByRole("button", { name }).click();
    await box(page)
      .getByRole("status")
      .filter({ hasText: /^Enhanced · tiny-qwen · \d+ tokens/ })
      .waitFor();
    return (await box(page).locator("[data-part=after]").textContent()) ?? "";
  }

  test("shows before and after, and changes the prompt only on demand", async () => {
    const page = await openConsole(browser, url);
    await page.getByLabel("Job type").selectOption("sdxl_image_fast");
    await box(page).getByRole("button", { name: "Enhance" }).click();
    await box(page).getByRole("alert").filter({ hasText: "Write an idea first" }).waitFor();
    await prompt(page).fill("a fox");
    await page.getByLabel("Preset for Enhance").selectOption("cinematic");
    expect(await enhanced(page)).toMatch(/fox/);
    expect(await box(page).locator("[data-part=before]").textContent()).toBe("a fox");
    await box(page).getByRole("button", { name: "Keep mine" }).click();
    expect(await prompt(page).inputValue()).toBe("a fox");
    await enhanced(page);
    const again = await enhanced(page, "Try again");
    await box(page).getByRole("button", { name: "Use it" }).click();
    expect(await prompt(page).inputValue()).toBe(again);
    expect(await box(page).locator("[data-part=result]").isVisible()).toBe(false);
  });

  test("asks for what draws the job, and a job that enhances by itself does not do it twice", async () => {
    const page = await openConsole(browser, url);
    const bodies: unknown[] = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/enhance")) bodies.push(request.postDataJSON());
    });
    await page.getByLabel("Job type").selectOption("chat");
    expect(await box(page).count()).toBe(0);
    await page.getByLabel("Job type").selectOption("image7b_fast_enhanced");
    await prompt(page).fill("a rocket");
    await enhanced(page);
    expect(bodies).toEqual([
      expect.objectContaining({ prompt: "a rocket", target_model: "wan", preset: "photographic" }),
    ]);
    await box(page).getByRole("button", { name: "Use it" }).click();
    expect(await page.locator('[name="config.enhance_prompt"]').inputValue()).toBe("false");
  });

  test("is cancelled while the model is at it, and the model is free", async () => {
    const page = await openConsole(browser, endlessUrl);
    await prompt(page).fill("a lake");
    await box(page).getByRole("button", { name: "Enhance" }).click();
    await expect.poll(() => endless.runtime.calls.active, poll).toBe(1);
    await box(page).getByRole("button", { name: "Cancel" }).click();
    await box(page).getByRole("button", { name: "Enhance" }).waitFor();
    await idle(endless);
    expect(await prompt(page).inputValue()).toBe("a lake");
  });

  test("says why a prompt is as it was", async () => {
    const page = await openConsole(browser, url);
    await prompt(page).fill("a lake");
    // The only model is gone for a moment: what the container says of it is shown.
    await page.route("**/enhance", (route) =>
      route.continue({ postData: JSON.stringify({ prompt: "a lake", model: "gone" }) }),
    );
    await box(page).getByRole("button", { name: "Enhance" }).click();
    await box(page)
      .getByRole("alert")
      .filter({ hasText: /^Not enhanced: enhance_instruct: .*no model "gone" here/ })
      .waitFor();
  });
});

describe.each(["light", "dark"] as const)("axe, %s", (colorScheme) => {
  test("finds nothing on the page, in the chat, beside a prompt", async () => {
    const page = await openConsole(browser, url, { colorScheme, bypassCSP: true, reducedMotion: "reduce" });
    await prompt(page, "a fox");
    expect(await violationsOn(page)).toEqual([]);
    await openChat(page);
    await say(page, "What can you draw?");
    await page.locator(".turn .small", { hasText: "tokens" }).waitFor();
    await page.getByText("Settings", { exact: true }).click();
    expect(await violationsOn(page)).toEqual([]);
  });

  async function prompt(page: Page, idea: string): Promise<void> {
    await page.locator('[name="prompt"]').fill(idea);
    await page.getByRole("button", { name: "Enhance" }).click();
    await page.locator(".enhance-result").waitFor();
  }
});
