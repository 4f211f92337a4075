import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadEnvFile } from "./env-file.ts";
import { runCli } from "./testing/run-cli.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-env-"));
  path = join(folder, ".env");
});
afterEach(() => rm(folder, { recursive: true }));

test("what it has is added to the environment, which counts", async () => {
  await writeFile(path, `# a comment\nPORT=7861\nexport HOST="127.0.0.1"\nWORKERS='sdxl'\nEMPTY=\n`);
  const env: NodeJS.ProcessEnv = { PORT: "7000" };
  const read = loadEnvFile(path, env);
  expect([read?.path, read?.variables.toSorted()]).toEqual([path, ["EMPTY", "HOST", "WORKERS"]]);
  expect(env).toEqual({ PORT: "7000", HOST: "127.0.0.1", WORKERS: "sdxl", EMPTY: "" });
});

test("a byte order mark is no part of the first name", async () => {
  await writeFile(path, "\uFEFFLEASE_SECONDS=5\r\n");
  const env: NodeJS.ProcessEnv = {};
  expect(loadEnvFile(path, env)?.variables).toEqual(["LEASE_SECONDS"]);
  expect(env.LEASE_SECONDS).toBe("5");
});

test("none is no error, one that cannot be read is", async () => {
  expect(loadEnvFile(path, {})).toBeNull();
  await mkdir(path);
  expect(() => loadEnvFile(path, {})).toThrow(/\.env cannot be read \(EISDIR\)/);
});

test("the command reads that of the folder it is run in", async () => {
  await writeFile(path, "PORT=not-a-port\n");
  const { exitCode, stderr } = await runCli(folder, ["start"]);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('PORT is "not-a-port"')]);
});
