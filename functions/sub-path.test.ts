import { createServer, request as httpRequest } from "node:http";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { OurvidzClient } from "#client/client.ts";
import { startBrowser } from "#test/support/browser.ts";
import { startContainer, type TestContainer, testKey } from "./testing/container.ts";

/* A container below a path of its public address, behind a proxy that takes the path away. */

let container: TestContainer;
let browser: Browser;
let base: string;
let closeProxy: () => void;

beforeAll(async () => {
  let target: URL | undefined;
  const proxy = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    if (!path.startsWith("/gpu/one/") || target === undefined)
      return void outgoing.writeHead(404).end("not the container's");
    const { method, headers } = incoming;
    const passed = httpRequest(new URL(path.slice("/gpu/one".length), target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, "127.0.0.1");
  closeProxy = () => {
    proxy.closeAllConnections();
    proxy.close();
  };
  await new Promise((listening) => proxy.once("listening", listening));
  const { port } = z.object({ port: z.number() }).parse(proxy.address());
  base = `http://127.0.0.1:${port}/gpu/one`;
  [container, browser] = await Promise.all([
    startContainer({ WAN_WORKER_API_KEY: testKey, PUBLIC_URL: base }),
    startBrowser(),
  ]);
  target = new URL((await container.listen()).url);
}, 60_000);
afterAll(async () => {
  await browser.close();
  await container.stop();
  closeProxy();
});

const headers = { Authorization: `Bearer ${testKey}`, "Content-Type": "application/json" };

it("names files, jobs and itself by addresses that can be opened", async () => {
  const client = new OurvidzClient({ url: base, key: testKey });
  const posted = await fetch(`${base}/jobs`, {
    method: "POST",
    headers,
    body: JSON.stringify({ type: "gated", prompt: "a quiet lake" }),
  });
  const { job_id } = z.object({ job_id: z.string() }).parse(await posted.json());
  expect(posted.headers.get("location")).toBe(`${base}/jobs/${job_id}`);
  let ended: string | null = null;
  for await (const event of client.follow(job_id))
    if (event.name === "state" && event.data.job) ended = event.data.job.assets[0]?.url ?? null;
  const job = await client.job(job_id);
  const [listed] = (await client.jobs({ limit: 1 })).jobs;
  for (const url of [ended, job.assets[0]?.url, listed?.assets[0]?.url]) {
    expect(url).toMatch(new RegExp(`^${base}/files/`));
    expect((await fetch(String(url))).status).toBe(200);
  }
  const { input, url } = await client.uploadInput(new Blob([gif]), { userId: "ann" });
  expect(input).toMatch(/^input:/);
  expect((await fetch(String(url))).status).toBe(200);
  const description = z.object({ servers: z.array(z.object({ url: z.string() })) });
  const { servers } = description.parse(await (await fetch(`${base}/openapi.json`, { headers })).json());
  expect(servers).toEqual([{ url: base }]);
  const page = await (await fetch(`${base}/docs`, { headers })).text();
  expect(page).toContain(`${base}/jobs`);
  const [, link = ""] = /href="([^"]*openapi\.json)"/.exec(page) ?? [];
  expect((await fetch(new URL(link, `${base}/docs`), { headers })).status).toBe(200);
});

it("without PUBLIC_URL, by the address that the request came to", async () => {
  const own = await startContainer();
  try {
    const { url } = await own.listen();
    const id = await own.runtime.submit("gated");
    await own.runtime.ended(id);
    const client = new OurvidzClient({ url });
    const address = (await client.job(id)).assets[0]?.url;
    expect(address).toMatch(new RegExp(`^${url}/files/`));
    expect((await fetch(String(address))).status).toBe(200);
  } finally {
    await own.stop();
  }
});

it("shows the console, which asks for everything below the path", async () => {
  const context = await browser.newContext();
  await context.addInitScript(`sessionStorage.setItem("ourvidz.key", ${JSON.stringify(testKey)})`);
  const tab = await context.newPage();
  const elsewhere: string[] = [];
  const asked = new Set<string>();
  tab.on("request", (request) => {
    const path = request.url().slice(new URL(base).origin.length);
    if (path.startsWith("/gpu/one/")) asked.add(path.slice("/gpu/one".length).replace(/\?.*/, ""));
    else if (request.url().startsWith("http")) elsewhere.push(request.url());
  });
  await tab.goto(`${base}/`);
  await expect.poll(() => [...asked]).toEqual(expect.arrayContaining(["/console/main.js", "/worker/info", "/jobs"]));
  expect(elsewhere).toEqual([]);
  await context.close();
});

const gif = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");
