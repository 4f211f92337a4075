import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const cli = fileURLToPath(new URL("ourvidz.js", import.meta.url));
const cache = fileURLToPath(new URL("../node_modules/.cache/ourvidz", import.meta.url));
const shared = new URL("../supabase/functions/_shared/errors.ts", import.meta.url);

test("code that the command has compiled is used by the next one, whatever executors compile meanwhile", async () => {
  const env = { NODE_DEBUG_NATIVE: "COMPILE_CACHE" };
  const command = () => run(process.execPath, [cli, "--version"], { env });
  await command();
  // As executors are started: with Node's own flags.
  const executor = ["--eval", `import(${JSON.stringify(shared.href)})`];
  await run(process.execPath, executor, { env: { ...env, NODE_COMPILE_CACHE: cache } });
  const { stdout, stderr } = await command();
  expect(`${stdout}${stderr}`).toContain(`${shared.href} was accepted`);
  expect(`${stdout}${stderr}`).not.toContain("was rejected");
});
