import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { isThere } from "./kill.ts";

const kill = fileURLToPath(new URL("./kill.ts", import.meta.url));

it.each(["SIGTERM", "exit"])("a child ends with its process: %s", async (how) => {
  const script = `
    import { spawn } from "node:child_process";
    import { endWithThisProcess } from ${JSON.stringify(kill)};
    const child = spawn("sleep", ["300"], { stdio: "ignore" });
    endWithThisProcess(child, "SIGKILL");
    process.stdout.write(String(child.pid));
    process.stdin.once("end", () => process.exit()).resume();`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "ignore"] });
  const [pid] = await once(parent.stdout, "data");
  expect(await isThere(Number(pid))).toBe(true);
  if (how === "SIGTERM") parent.kill("SIGTERM");
  else parent.stdin.end();
  await once(parent, "exit");
  await expect.poll(() => isThere(Number(pid))).toBe(false);
});
