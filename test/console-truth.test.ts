import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startBrowser } from "./support/browser.ts";
import { lookAgain } from "./support/console-page.ts";
import { startTestGateway } from "./support/gateway.ts";
import { testHandlers } from "./support/runtime.ts";
import { startCallbackServer } from "./support/supabase/callback-server.ts";
import { startStorageServer } from "./support/supabase/storage-server.ts";

/* Faults that are really made, and what the console says of them: nothing untrue. */

// A browser and a server on the same two cores: what takes a second alone may take many.
vi.setConfig({ testTimeout: 90_000 });

const handlers = fileURLToPath(new URL("../functions/testing/handlers", import.meta.url));
const poll = { timeout: 30_000, interval: 300 };

let browser: Browser;

beforeAll(async () => {
  browser = await startBrowser();
}, 300_000);

afterAll(() => browser.close());

async function container(env: Record<string, string> = {}): Promise<TestContainer> {
  const started = await startContainer({ HANDLERS_DIR: handlers, ...env });
  onTestFinished(() => started.stop());
  return started;
}

async function openConsole(shown: TestContainer): Promise<Page> {
  const { url } = await shown.listen();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(url);
  await page.locator("body[data-ready=true]").waitFor();
  return page;
}

/** As the page has it now; it looks again for the next time. */
async function textOf(page: Page, name: string): Promise<string> {
  await lookAgain(page);
  return page.locator(`[data-part="${name}"]`).innerText();
}
const header = (page: Page) => expect.poll(() => textOf(page, "health-text"), poll);
const card = (page: Page, id: string) => page.locator(`.card[data-key="${id}"]`);

describe("when Redis stops", () => {
  test("each part says how old it is, the rest stays, and all of it is back by itself", async () => {
    const gateway = await startTestGateway({ redis: { persistence: true } });
    onTestFinished(() => gateway.close());
    const shown = await container({
      UPSTASH_REDIS_REST_URL: gateway.url,
      UPSTASH_REDIS_REST_TOKEN: gateway.token,
    });
    const job = await shown.submitGated();
    const page = await openConsole(shown);
    await card(page, job.id).waitFor();
    await header(page).toBe("Healthy");

    await gateway.redis.kill();
    await header(page).toMatch(
      /^Degraded · No jobs can be taken from upstash \(QUEUE_UNREACHABLE\)\. · since .+\d:\d\d/,
    );
    await expect.poll(() => textOf(page, "active-age"), poll).toMatch(/^As of .+: /);
    // It is paid by the call, and counted again when that is due: until then the numbers say how old they are.
    await expect.poll(() => textOf(page, "usage"), poll).toMatch(/^counted \d+ s ago/);
    // What is known without Redis is still shown, and what was known is not gone.
    expect(await card(page, job.id).isVisible()).toBe(true);
    expect(await textOf(page, "workers")).toMatch(/test/);
    expect(await textOf(page, "queues")).toMatch(/test_queue/);
    for (const part of ["workers-age", "gpu-age", "outbox-age", "notice", "queues-empty", "active-empty"])
      expect([part, await page.locator(`[data-part="${part}"]`).isVisible()]).toEqual([part, false]);
    expect(await textOf(page, "problem-list")).toMatch(/No jobs can be taken from upstash/);

    await gateway.redis.restart();
    await job.open();
    await header(page).toBe("Healthy");
    await expect.poll(() => page.locator(".age:visible").count(), poll).toBe(0);
    await expect.poll(() => page.locator(".tile").count(), poll).toBe(1);
  });
});

describe("when the app refuses callbacks with 401", () => {
  test("the job is delivering, without a cancel, the outbox says why, and “Try now” brings it home", async () => {
    const app = await startCallbackServer();
    onTestFinished(() => app.close());
    const shown = await container({ CALLBACK_URL: app.url, JOB_CALLBACK_SECRET: app.secret });
    app.faults.add({ times: 1000, does: { status: 401 } });
    const job = await shown.submitGated();
    const page = await openConsole(shown);
    await card(page, job.id).getByRole("button", { name: "Cancel" }).waitFor();
    await job.open();
    await expect
      .poll(() => card(page, job.id).innerText(), poll)
      .toMatch(/delivering \(completed\) · CALLBACK_REFUSED · \d+ tr(y|ies) · next in/);
    expect(await card(page, job.id).getByRole("button", { name: "Cancel" }).count()).toBe(0);
    await header(page).toMatch(/^Degraded · 1 result waits for the app \(CALLBACK_REFUSED\)\. · since/);
    await page.locator("[data-part=outbox]").waitFor();
    expect(await textOf(page, "outbox-alarms")).toMatch(/The app: CALLBACK_REFUSED[\s\S]*401/);
    expect(await textOf(page, "outbox-rows")).toContain(job.id);
    await card(page, job.id).getByRole("button", { name: "Details" }).click();
    const dialog = page.getByRole("dialog");
    await expect.poll(() => dialog.innerText(), poll).toMatch(/Delivering · CALLBACK_REFUSED/);
    expect(await dialog.getByRole("button", { name: "Cancel" }).isVisible()).toBe(false);
    await page.keyboard.press("Escape");

    app.faults.clear();
    await page.getByRole("button", { name: "Try now" }).click();
    await expect.poll(() => page.locator(".tile").count(), poll).toBe(1);
    await expect.poll(() => page.locator("[data-part=outbox]").isVisible(), poll).toBe(false);
    await header(page).toBe("Healthy");
  });
});

describe("when an app is gone for good", () => {
  test("the end of a job is given up by a second click, and the job has its end", async () => {
    const shown = await container({
      CALLBACK_URL: "http://127.0.0.1:9/gone",
      JOB_CALLBACK_SECRET: "a-secret-of-16-characters",
    });
    const job = await shown.submitGated();
    await job.open();
    const page = await openConsole(shown);
    const row = page.locator("[data-part=outbox-rows] > li", { hasText: job.id });
    await row.getByRole("button", { name: "Give up" }).click();
    await row.getByRole("button", { name: "Never report it?" }).click();
    await expect.poll(() => page.locator("[data-part=outbox]").isVisible(), poll).toBe(false);
    await expect.poll(() => page.locator(".tile").count(), poll).toBe(1);
    expect((await shown.call("GET", `/jobs/${job.id}`)).json).toMatchObject({ status: "completed", delivery: null });
  });
});

describe("when the storage refuses the container's key", () => {
  test("the job waits for the storage, and goes on when its key is taken", async () => {
    const [storage, app] = await Promise.all([
      startStorageServer({ buckets: [{ id: "gated", allowedMimeTypes: ["text/plain"] }] }),
      startCallbackServer(),
    ]);
    onTestFinished(async () => {
      await Promise.all([storage.close(), app.close()]);
    });
    const shown = await container({
      SUPABASE_URL: storage.url,
      SUPABASE_SERVICE_KEY: storage.secretKey,
      CALLBACK_URL: app.url,
      JOB_CALLBACK_SECRET: app.secret,
      HEARTBEAT_SECONDS: "0",
    });
    storage.faults.add({ times: 1000, does: { status: 401 } });
    const job = await shown.submitGated();
    await job.open();
    const page = await openConsole(shown);
    await header(page).toMatch(/^Degraded · 1 result waits for the storage \(STORAGE_REFUSED\)\. · since/);
    await expect.poll(() => card(page, job.id).innerText(), poll).toMatch(/delivering \(completed\) · STORAGE_REFUSED/);
    expect(await textOf(page, "outbox-alarms")).toMatch(/The storage: STORAGE_REFUSED/);
    storage.faults.clear();
    await page.getByRole("button", { name: "Try now" }).click();
    await header(page).toBe("Healthy");
    await expect.poll(() => page.locator(".tile").count(), poll).toBe(1);
  });
});

describe("when the disk is full", () => {
  test.skipIf(process.getuid?.() !== 0)("the header says so, and not when there is room again", async () => {
    const disk = await mkdtemp(join(tmpdir(), "ourvidz-disk-"));
    const mount = (...words: string[]) => expect(spawnSync("mount", words).status).toBe(0);
    mount("-t", "tmpfs", "-o", "size=40m", "tmpfs", disk);
    onTestFinished(async () => {
      spawnSync("umount", ["-l", disk]);
      await rm(disk, { recursive: true, force: true });
    });
    const shown = await container({ DATA_DIR: join(disk, "data") });
    const page = await openConsole(shown);
    await header(page).toBe("Healthy");
    const ballast = join(disk, "ballast");
    await writeFile(ballast, Buffer.alloc(36 * 1024 * 1024));
    await header(page).toMatch(/^Degraded · The disk of the data folder is full\. · since/);
    expect((await shown.call("GET", "/ready")).json).toMatchObject({ code: "NOT_READY" });
    await rm(ballast);
    await header(page).toBe("Healthy");
  });
});

describe("when the data folder is gone", () => {
  test("nothing is accepted any more, the header says why, and it goes on when the folder is back", async () => {
    const shown = await container();
    const page = await openConsole(shown);
    await header(page).toBe("Healthy");
    const { folder } = shown.runtime;
    await rename(folder, `${folder}.away`);
    const body = { type: "gated", prompt: "a quiet lake" };
    expect(await shown.call("POST", "/jobs", { body })).toMatchObject({ json: { code: "DATA_FOLDER_UNUSABLE" } });
    await header(page).toMatch(/^Degraded · The data folder is gone\. · since/);
    expect(await shown.call("GET", "/ready")).toMatchObject({ status: 503, json: { code: "NOT_READY" } });
    await expect.poll(() => textOf(page, "problem-list"), poll).toMatch(/put it back, or restart the container/);
    // What was known of its jobs may be untrue by now, and says how old it is.
    await expect.poll(() => textOf(page, "active-age"), poll).toMatch(/^As of .+: The database .+ is not the one/);
    await rename(`${folder}.away`, folder);
    await header(page).toBe("Healthy");
    expect(await shown.call("POST", "/jobs", { body })).toMatchObject({ status: 202 });
  });
});

describe("when an executor cannot start", () => {
  test("the header and its worker say so", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ourvidz-handlers-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const imports = new URL("../functions/testing/handlers/gated.ts", import.meta.url).href;
    const file = join(folder, "gated.ts");
    // The dispatcher reads the handler; in its executor it cannot be loaded.
    await writeFile(
      file,
      `if (process.argv[1].endsWith("/executor/child/child.ts")) throw new Error("no engine");\nexport { default } from "${imports}";\n`,
    );
    await chmod(file, 0o644);
    const shown = await container({ HANDLERS_DIR: folder });
    const { url } = await shown.listen();
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(url);
    await header(page).toMatch(/^Degraded · The executor of test (cannot start|has crashed)/);
    expect(await textOf(page, "workers")).not.toMatch(/ready/);
  });
});

describe("when one user's jobs kill their executor", () => {
  test("the page says whose let others' go first, until when and why, and stops saying so", async () => {
    const shown = await container({ HANDLERS_DIR: testHandlers, EXECUTOR_RESTART_MAX_SECONDS: "60" });
    const page = await openConsole(shown);
    const strip = page.locator("[data-part=quarantine]");
    expect(await strip.isVisible()).toBe(false);
    const user = "0b9f3c1e-5d2a-4c1b-9a77-3f0de1f0aa01";
    const crashing = { failure: "exit", fail_until_attempt: 2 };
    await shown.runtime.submit("noop", crashing, { user_id: user });
    const text = () => strip.innerText();
    await expect
      .poll(text, poll)
      .toMatch(/noop of 0b9f3c1e…[\s\S]*since .+, the next one is tried at .+\d[\s\S]* 2 times/);
    expect(await text()).toContain("EXECUTOR_CRASHED · 2 times · The executor died");
    expect(await text()).not.toContain(user);
    expect(await strip.locator("[data-part=name]").getAttribute("title")).toBe(user);
    // Its third attempt goes well.
    await expect.poll(() => strip.isVisible(), poll).toBe(false);
  });
});
