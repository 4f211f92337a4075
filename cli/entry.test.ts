import { spawnSync } from "node:child_process";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { temporaryFolder } from "./testing/run-cli.ts";

it("says where it runs when it was installed as a package", async () => {
  const cli = join(await temporaryFolder(), "node_modules/ourvidz-worker/cli");
  await mkdir(cli, { recursive: true });
  await writeFile(join(cli, "../package.json"), '{"type":"module"}');
  await copyFile(fileURLToPath(new URL("./ourvidz.js", import.meta.url)), join(cli, "ourvidz.js"));
  const { status, stderr } = spawnSync(process.execPath, [join(cli, "ourvidz.js"), "jobs"], { encoding: "utf8" });
  expect(stderr).toMatch(/^ourvidz runs from a clone of the project, not from node_modules/);
  expect(status).toBe(2);
});
