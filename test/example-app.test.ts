import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { makePicture, sha256 } from "#runtime/inputs/testing/harness.ts";
import { startBrowser } from "./support/browser.ts";
import { type ExampleApp, installExample, startExample } from "./support/example-app.ts";

/* The app to copy, examples/next, as it is built and run, in a real Chromium, against a real container. */

// Next.js is built, and a model draws, on the same two cores.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 600_000 });

const password = "let me in";
let browser: Browser;
let container: TestContainer;
let models: string;
let app: ExampleApp;
const complaints: string[] = [];

beforeAll(async () => {
  const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
  models = await smallModels();
  const keys = { WAN_WORKER_API_KEY: testKey };
  let folder: string;
  [folder, browser, container] = await Promise.all([
    installExample(),
    startBrowser(),
    startContainer({ HANDLERS_DIR: handlers, WORKERS: "sdxl", MODELS_DIR: models, ...keys }),
  ]);
  app = await startExample(folder, {
    WORKER_URL: (await container.listen()).url,
    WORKER_KEY: testKey,
    SESSION_SECRET: "a secret of thirty-two characters or more",
    DEMO_PASSWORD: password,
    ADMIN_EMAILS: "admin@example.com",
  });
});
afterAll(async () => {
  await browser.close();
  await app.stop();
  await container.stop();
  await rm(models, { recursive: true, force: true });
});

/** The bundled model at a size, and in steps, that are quickly drawn. */
async function smallModels(): Promise<string> {
  const bundled = fileURLToPath(new URL("../models/tiny-sdxl", import.meta.url));
  const root = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  const folder = join(root, "sdxl");
  await mkdir(folder);
  for (const name of await readdir(bundled))
    if (name !== "generation_config.json") await symlink(join(bundled, name), join(folder, name));
  await writeFile(join(folder, "generation_config.json"), '{"width": 128, "height": 128, "num_inference_steps": 4}');
  return root;
}

async function signIn(email: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(app.url);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText(email).waitFor();
  return page;
}

const call = (method: string, path: string) =>
  container.call(method, path, { headers: { Authorization: `Bearer ${testKey}` } });

async function create(page: Page, prompt: string): Promise<void> {
  await page.getByLabel("Prompt").fill(prompt);
  await page.getByRole("button", { name: "Create" }).click();
}

const running = (page: Page) => page.getByRole("list", { name: "In progress" });
const gallery = (page: Page) => page.getByRole("list", { name: "Gallery" });
const isDrawn = (page: Page) =>
  gallery(page)
    .locator("img")
    .evaluateAll((all) => all.length > 0 && all.every((each) => Number(Reflect.get(each, "naturalWidth")) > 0));

test("a user signs in, follows a job from the queue to its picture, and finds it again", async () => {
  const page = await signIn("ann@example.com");
  await call("POST", "/worker/pause");
  await create(page, "a red apple");
  const job = running(page).getByRole("listitem");
  await job.getByText("queued").waitFor();
  expect(await job.getByRole("progressbar").getAttribute("value")).toBe("0");
  await call("POST", "/worker/resume");
  await expect.poll(() => isDrawn(page), { timeout: 120_000 }).toBe(true);
  expect(await running(page).getByRole("listitem").count()).toBe(0);
  await page.reload();
  await expect.poll(() => isDrawn(page), { timeout: 30_000 }).toBe(true);
  expect(await gallery(page).textContent()).toContain("a red apple");
});

test("a job is cancelled, says so, and is deleted for good", async () => {
  const page = await signIn("cleo@example.com");
  await call("POST", "/worker/pause");
  await create(page, "a green hill");
  await running(page).getByRole("button", { name: "Cancel" }).click();
  await gallery(page).getByText("cancelled").waitFor();
  await gallery(page).getByRole("button", { name: "Delete a green hill" }).click();
  await gallery(page).getByText("a green hill").waitFor({ state: "detached" });
  await page.reload();
  await page.getByLabel("Prompt").waitFor();
  expect(await gallery(page).getByText("a green hill").count()).toBe(0);
  await call("POST", "/worker/resume");
});

test("a reference picture is uploaded for the job", async () => {
  const page = await signIn("dora@example.com");
  const buffer = await makePicture("olive");
  await page.getByLabel("Reference picture").setInputFiles({ name: "olive.png", mimeType: "image/png", buffer });
  await create(page, "a green apple");
  await expect.poll(() => isDrawn(page), { timeout: 120_000 }).toBe(true);
  const { jobs } = Object((await call("GET", "/jobs?limit=1")).json);
  expect(jobs).toMatchObject([
    { prompt: "a green apple", metadata: { reference_image_url: `input:${sha256(buffer)}` } },
  ]);
});

test("what is one user's is no other's, and a refusal is a sentence", async () => {
  const page = await signIn("eve@example.com");
  const { jobs } = Object((await call("GET", "/jobs?limit=1")).json);
  const asked = (path: string, init = {}) =>
    page.evaluate(async ([at, how]) => (await fetch(at, how)).status, [path, init] as const);
  expect(await asked("/api/worker/jobs?user_id=anonymous&limit=5")).toBe(200);
  expect(await gallery(page).getByRole("listitem").count()).toBe(0);
  for (const path of [`/api/worker/jobs/${jobs[0].job_id}`, `/api/worker/jobs/${jobs[0].job_id}/events`])
    expect(await asked(path)).toBe(404);
  expect(await asked(`/api/worker/jobs/${jobs[0].job_id}`, { method: "DELETE" })).toBe(404);
  expect(await asked("/api/worker/worker/status")).toBe(404);
  expect(await asked("/api/admin")).toBe(403);
  await create(page, "x".repeat(30_000));
  await page.getByRole("alert").getByText("prompt").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Password").waitFor();
  expect(await asked("/api/worker/jobs")).toBe(401);
  await page.getByLabel("E-mail").fill("eve@example.com");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("do not go together").waitFor();
});

test("an administrator sees the queues", async () => {
  const page = await signIn("admin@example.com");
  await page.getByRole("link", { name: "Admin" }).click();
  await page.getByRole("rowheader", { name: "sdxl_queue" }).waitFor();
});

test("no page has failed, and none has seen the container's key", async () => {
  expect(complaints).toEqual([]);
  expect(await app.findInBrowserFiles(testKey)).toEqual([]);
});
