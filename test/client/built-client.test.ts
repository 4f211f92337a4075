import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import manifest from "../../package.json" with { type: "json" };
import { startBrowser } from "../support/browser.ts";
import { appWithClient, projectFolder, runProgram, runTool } from "./build.ts";

/* The client as an app gets it: built, type-checked and bundled as apps do, and run against a real container. */

vi.setConfig({ testTimeout: 180_000 });

const packing = z.array(z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) }));

/** What a page of an app does with the client. */
const page = `
import { type Accepted, CodedError, isJob, type JobEvent, type JobView, OurvidzClient } from "ourvidz-client";

export async function draw(url: string, prompt: string): Promise<{ names: string[]; status: string; code: string }> {
  const client = new OurvidzClient({ url });
  const accepted: Accepted = await client.enqueue({ type: "gated", prompt });
  const names: string[] = [];
  let last: JobEvent | undefined;
  for await (const event of client.follow(accepted.job_id)) {
    names.push(event.name === "progress" ? \`\${event.data.progress * 100} %\` : event.name);
    last = event;
  }
  const job: JobView = await client.job(accepted.job_id);
  const { jobs } = await client.jobs({ status: "completed", limit: 5 });
  if (last?.name !== "state" || !isJob(job) || jobs.length === 0) throw new Error("there is no end");
  const code = await client.job("nobody").catch((error: unknown) => (error instanceof CodedError ? error.code : "none"));
  return { names, status: job.status, code: code === "JOB_NOT_FOUND" ? code : "none" };
}
`;

/** As `create-next-app` writes it, but with the client's own types checked too. */
const tsconfig = {
  compilerOptions: {
    target: "ES2017",
    lib: ["dom", "dom.iterable", "esnext"],
    allowJs: true,
    skipLibCheck: false,
    strict: true,
    noEmit: true,
    esModuleInterop: true,
    module: "esnext",
    moduleResolution: "bundler",
    resolveJsonModule: true,
    isolatedModules: true,
    jsx: "preserve",
    types: [],
  },
  include: ["**/*.ts"],
  exclude: ["node_modules"],
};

const maxGzippedBytes = 30_000;

let app: Awaited<ReturnType<typeof appWithClient>>;
let container: TestContainer;
let browser: Browser;

beforeAll(async () => {
  [app, container, browser] = await Promise.all([
    appWithClient(),
    startContainer({ WAN_WORKER_API_KEY: testKey }),
    startBrowser(),
  ]);
  await writeFile(join(app.folder, "page.ts"), page);
  await writeFile(join(app.folder, "tsconfig.json"), JSON.stringify(tsconfig));
  await writeFile(join(app.folder, "package.json"), '{"type":"module"}');
}, 300_000);
afterAll(async () => {
  await browser.close();
  await container.stop();
  await app.remove();
});

async function bundle(): Promise<{ readonly code: string; readonly inputs: readonly string[] }> {
  const { outputFiles, metafile, errors, warnings } = await build({
    absWorkingDir: app.folder,
    entryPoints: ["page.ts"],
    bundle: true,
    format: "iife",
    globalName: "app",
    platform: "browser",
    minify: true,
    metafile: true,
    write: false,
  });
  expect([...errors, ...warnings]).toEqual([]);
  return { code: outputFiles[0]?.text ?? "", inputs: Object.keys(metafile.inputs) };
}

it("is small, and bundles for a browser with nothing of Node and no schemas", async () => {
  const { code, inputs } = await bundle();
  expect(inputs.toSorted()).toEqual(["node_modules/ourvidz-client/client.js", "page.ts"]);
  expect(code).not.toMatch(/\bnode:|\brequire\(|process\.env/);
  expect(gzipSync(code).length).toBeLessThan(maxGzippedBytes);
});

it("type-checks in a project as create-next-app makes it, with its own types checked", async () => {
  expect(await runTool("tsc", ["-p", app.folder])).toBe("");
  await writeFile(
    join(app.folder, "wrong.ts"),
    `import "./page";\nimport { OurvidzClient } from "ourvidz-client";
export const job = new OurvidzClient({ url: "/" }).jobs({ status: "done" });\n`,
  );
  await expect(runTool("tsc", ["-p", app.folder])).rejects.toThrow(/wrong\.ts.*"done"/);
});

it("installs from what npm packs, and from this project's own export", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-packed-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const npm = (args: readonly string[], cwd = folder) => runProgram("npm", args, cwd);
  const packed = packing.parse(JSON.parse(await npm(["pack", "--json", join(projectFolder, "dist/client")])));
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({
      type: "module",
      private: true,
      dependencies: {
        "ourvidz-client": `file:${packed[0]?.filename}`,
        zod: `file:${join(projectFolder, "node_modules/zod")}`,
      },
    }),
  );
  await npm(["install", "--offline", "--install-links", "--no-audit", "--no-fund", "--ignore-scripts"]);
  await symlink(projectFolder, join(folder, "node_modules/ourvidz-worker"));
  for (const name of ["ourvidz-client", "ourvidz-worker/client"]) {
    const source = page.replace("ourvidz-client", name);
    await writeFile(join(folder, "page.ts"), source);
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
    expect(await runTool("tsc", ["-p", folder])).toBe("");
    const script = `import { OurvidzClient } from "${name}"; console.log(typeof OurvidzClient);`;
    expect(await runTool("node", ["--input-type=module", "--eval", script], folder)).toBe("function\n");
  }

  // The project's own package has what it exports: `dist/` is not in git, and would be left out.
  const [listed] = packing.parse(
    JSON.parse(await npm(["pack", "--json", "--dry-run", "--ignore-scripts"], projectFolder)),
  );
  const paths = new Set(listed?.files.map(({ path }) => path));
  const { exports, bin } = manifest;
  for (const path of [...Object.values(exports["./client"]), ...Object.values(bin), "dist/client/package.json"])
    expect(paths, path).toContain(path.replace(/^\.\//, ""));
  expect([...paths].filter((path) => /\.test\.ts$|^(test|bench|tools)\//.test(path))).toEqual([]);
});

it("runs in Node", async () => {
  const { url } = await container.listen();
  const script = `import { OurvidzClient } from "ourvidz-client";
    const { capabilities } = await new OurvidzClient({ url: process.argv[1], key: process.argv[2] }).health();
    console.log(JSON.stringify(capabilities));`;
  const args = ["--input-type=module", "--eval", script, url, testKey];
  expect(await runTool("node", args, app.folder)).toBe('["gated"]\n');
});

it("enqueues a job and follows it to its end in a browser, through an app's own proxy", async () => {
  const { code } = await bundle();
  const site = await serveApp(code, (await container.listen()).url);
  const tab = await browser.newPage();
  const complaints: string[] = [];
  tab.on("pageerror", (error) => complaints.push(error.message));
  await tab.goto(site);
  const drawn: unknown = await tab.evaluate("app.draw('/api/worker', 'a quiet lake')");
  await tab.close();
  const {
    names,
    status,
    code: missing,
  } = z.object({ names: z.array(z.string()), status: z.string(), code: z.string() }).parse(drawn);
  expect(status).toBe("completed");
  expect(names.at(0)).toBe("state");
  expect(names.at(-1)).toBe("state");
  expect(names.some((name) => name.endsWith(" %"))).toBe(true);
  expect(missing).toBe("JOB_NOT_FOUND");
  expect(complaints).toEqual([]);
});

/** A site with the page, which passes `/api/worker/…` on to the container with the key that browsers do not have. */
async function serveApp(script: string, worker: string): Promise<string> {
  const server = createServer(async (request, response) => {
    const path = request.url ?? "/";
    if (!path.startsWith("/api/worker/")) {
      const isScript = path === "/app.js";
      response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" });
      response.end(isScript ? script : '<!doctype html><link rel="icon" href="data:,"><script src="/app.js"></script>');
      return;
    }
    const { method = "GET", headers } = request;
    const answer = await fetch(`${worker}${path.slice("/api/worker".length)}`, {
      method,
      headers: { Authorization: `Bearer ${testKey}`, "Content-Type": headers["content-type"] ?? "" },
      ...(method === "POST" ? { body: Readable.toWeb(request), duplex: "half" } : {}),
    });
    response.writeHead(answer.status, { "Content-Type": answer.headers.get("content-type") ?? "" });
    if (answer.body === null) response.end();
    else Readable.fromWeb(answer.body).pipe(response);
  }).listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((listening) => server.once("listening", listening));
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return `http://127.0.0.1:${port}/`;
}
