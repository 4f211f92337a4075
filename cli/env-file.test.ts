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

test.each([
  ["A=1\nsk-secret-0001\nB=2", [[2, "is left out: it is no assignment (NAME=value)"]]],
  ["export PORT\nB=2", [[1, "is left out: it is no assignment (NAME=value)"]]],
  ["PORT: 7860", [[1, "is left out: it is no assignment (NAME=value)"]]],
  [
    "# a\n\n  A = 'it''\nB=\"sk-secret-0001",
    [
      [3, "has text behind the closing quote of A, which is left out"],
      [4, "does not close the quote of B, which is then part of the value"],
    ],
  ],
  ['A="sk-secret-0001\nB="two"\nC=3', [[1, "has text behind the closing quote of A (in line 2), which is left out"]]],
  ["sk-secret-0001=x", [[1, "has no name of a variable before the =: letters, digits and _, such as DATA_DIR"]]],
  ["A=\"one\ntwo\" # both\nB='#'\nexport C=`x`\nD=a b 'c\nE=", []],
])("a line that is not read as it looks is named, without its value: %j", async (text, expected) => {
  await writeFile(path, text);
  const problems = loadEnvFile(path, {})?.problems ?? [];
  expect(problems.map(({ line, problem }) => [line, problem])).toEqual(expected);
  expect(JSON.stringify(problems)).not.toContain("sk-secret");
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

test("the command, and a container that does not start, warn of its lines by their numbers", async () => {
  await writeFile(path, "PORT=not-a-port\nsk-secret-0001\n");
  for (const args of [["start"], ["handlers"]]) {
    const { stderr } = await runCli(folder, args);
    expect(stderr).toContain(`warning: ${path}, line 2, is left out: it is no assignment (NAME=value).`);
    expect(stderr).not.toContain("sk-secret");
  }
});
