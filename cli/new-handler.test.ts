import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

const project = fileURLToPath(new URL("..", import.meta.url));

/** Runs a tool of the project in its folder. */
function runTool(tool: string, args: readonly string[]) {
  const path = join(project, "node_modules/.bin", tool);
  const { status, stdout, stderr } = spawnSync(path, args, { cwd: project, encoding: "utf8" });
  return { status, output: `${stdout}${stderr}` };
}

/** A handlers folder within the project, where handlers belong; `out/` is neither committed nor checked. */
async function handlersFolder(): Promise<string> {
  await mkdir(join(project, "out"), { recursive: true });
  const folder = await mkdtemp(join(project, "out/new-handler-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("what it writes runs at once, passes its own test, lint and type check", async () => {
  const folder = await temporaryFolder();
  const handlers = await handlersFolder();
  const written = await runCli(folder, ["new-handler", "say_it", "--worker", "echo", "--handlers", handlers, "--json"]);
  const files = [join(handlers, "say_it.ts"), join(handlers, "say_it.test.ts")];
  expect(JSON.parse(written.stdout)).toEqual({ type: "say_it", worker: "echo", files });

  const run = await runCli(folder, ["run", "say_it", "hello", "--handlers", handlers, "--json"]);
  const [asset] = JSON.parse(run.stdout).assets;
  expect(await readFile(asset.file, "utf8")).toBe("1: hello\n2: hello\n3: hello\n");

  expect(runTool("vitest", ["run", join(handlers, "say_it.test.ts")])).toMatchObject({ status: 0 });
  expect(runTool("biome", ["check", "--vcs-enabled=false", handlers])).toMatchObject({ status: 0 });
  const settings = { extends: "../../tsconfig.json", include: ["*.ts"], exclude: [] };
  await writeFile(join(handlers, "tsconfig.json"), JSON.stringify(settings));
  expect(runTool("tsc", ["--noEmit", "--project", handlers])).toMatchObject({ status: 0, output: "" });
}, 60_000);

test("outside the project it runs as well", async () => {
  const folder = await temporaryFolder();
  expect((await runCli(folder, ["new-handler", "say_it", "--handlers", "mine"])).exitCode).toBe(0);
  const { exitCode, stdout } = await runCli(folder, ["run", "say_it", "hello", "--handlers", "mine"]);
  expect(exitCode).toBe(0);
  expect(await readFile(join(folder, stdout.trim()), "utf8")).toContain("1: hello\n");
});

test("it does not overwrite, not even a test, and leaves nothing half done", async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, "mine"));
  await writeFile(join(folder, "mine/say_it.test.ts"), "kept");
  const { exitCode, stderr } = await runCli(folder, ["new-handler", "say_it", "--handlers", "mine"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(`${join(folder, "mine/say_it.test.ts")} exists already: choose another name`);
  expect(await readdir(join(folder, "mine"))).toEqual(["say_it.test.ts"]);
});

test.each([["SayIt"], ["../say"], ["say-it"], [""], ["x".repeat(65)]])("it refuses the name %j", async (name) => {
  const { exitCode, stderr } = await runCli(await temporaryFolder(), ["new-handler", name, "--handlers", "mine"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(`${JSON.stringify(name)}: it must be snake_case`);
});
