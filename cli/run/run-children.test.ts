import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { runCli, temporaryFolder } from "../testing/run-cli.ts";

const contract = (file: string) =>
  JSON.stringify(fileURLToPath(new URL(`../../supabase/functions/_shared/${file}`, import.meta.url)));

/** A tree of jobs of two workers: `branch` enqueues leaves, and one more branch while its prompt says so. */
const branch = `
import { defineHandler } from ${contract("handler.ts")};
import { jobEnvelope } from ${contract("job.ts")};
export default defineHandler({
  type: "branch", worker: "wood", produces: "nothing", input: jobEnvelope,
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run(job, ctx) {
    await ctx.enqueue({ type: "leaf", prompt: \`leaf of \${job.prompt}\` });
    if (job.prompt === "an oak") await ctx.enqueue({ type: "branch", prompt: "a twig" });
    return {};
  },
});`;

const leaf = `
import { defineHandler } from ${contract("handler.ts")};
import { PermanentError } from ${contract("errors.ts")};
import { jobEnvelope } from ${contract("job.ts")};
export default defineHandler({
  type: "leaf", worker: "green", produces: "text", input: jobEnvelope,
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run(job, ctx) {
    if (job.prompt === "leaf of a dead branch") throw new PermanentError("it is withered");
    await ctx.asset(new TextEncoder().encode(job.prompt), { type: "text", extension: "txt", mimeType: "text/plain" });
    return {};
  },
});`;

let folder: string;
let args: readonly string[];

beforeAll(async () => {
  folder = await temporaryFolder();
  const handlers = join(folder, "handlers");
  await mkdir(handlers);
  await writeFile(join(handlers, "branch.ts"), branch);
  await writeFile(join(handlers, "leaf.ts"), leaf);
  args = ["--handlers", handlers, "--json"];
});

test("the children of a job are run, of whatever worker, and theirs, and their files are kept", async () => {
  const { exitCode, stdout, stderr } = await runCli(folder, ["run", "branch", "an oak", ...args]);
  expect(exitCode).toBe(0);
  const { children } = JSON.parse(stdout);
  expect(children).toMatchObject([
    { type: "leaf", status: "completed", assets: [{ file: expect.stringMatching(/leaf-of-an-oak/) }] },
    { type: "branch", status: "completed", assets: [] },
    { type: "leaf", status: "completed", assets: [{ file: expect.stringMatching(/leaf-of-a-twig/) }] },
  ]);
  expect(await readFile(children[2].assets[0].file, "utf8")).toBe("leaf of a twig");
  expect(stderr).toContain(`child 1: leaf ${children[0].job_id}\n`);
});

test("a child that fails is named, and fails the command", async () => {
  const { exitCode, stdout } = await runCli(folder, ["run", "branch", "a dead branch", ...args]);
  expect(exitCode).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    status: "completed",
    children: [{ type: "leaf", status: "failed", error: { message: "it is withered" } }],
  });
  const { stderr } = await runCli(folder, ["run", "branch", "a dead branch", ...args.slice(0, 2)]);
  expect(stderr).toMatch(/error: child leaf \S+: it is withered\n/);
  expect(stderr).toContain("0 of 1 child completed: 0 files");
});
