import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { killNow, processesNaming } from "./support/kill.ts";
import { testHandlers } from "./support/runtime.ts";

/*
 * A container ends in order, and leaves nothing, whoever started it and whoever the signal is for: npm, npx, a shell, a
 * process group, the first process of a machine. Its executors and its database name the test's folder.
 */
const project = fileURLToPath(new URL("..", import.meta.url));
const cli = join(project, "cli/ourvidz.js");
const showLooks = fileURLToPath(new URL("support/show-looks.js", import.meta.url));
const within = { timeout: 10_000, interval: 100 };

let folder: string;
let log: string;
let starter: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-signals-"));
  log = "";
});

afterEach(async () => {
  for (const pid of [...(await processesNaming(folder)), ...(await processesNaming(`--data ${folder}`))]) killNow(pid);
  if (starter?.pid !== undefined) killNow(starter.pid);
  await rm(folder, { recursive: true, force: true });
});

/** Resolves when the container that the command starts is up. */
async function start(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const child = spawn(command, args, {
    cwd: project,
    detached: true,
    env: {
      PATH: [join(project, "node_modules/.bin"), process.env.PATH].join(delimiter),
      HOME: folder,
      DATA_DIR: folder,
      HANDLERS_DIR: testHandlers,
      PORT: "0",
      LOG_FORMAT: "json",
      npm_config_update_notifier: "false",
      ...environment,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  starter = child;
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  await expect.poll(() => log, { timeout: 25_000 }).toContain("the container is up");
  await expect.poll(() => processesNaming(folder), within).not.toEqual([]);
  return child;
}

async function expectOrderlyEnd(): Promise<void> {
  await expect.poll(() => log, within).toContain('"stopped"');
  await expect.poll(() => processesNaming(folder), within).toEqual([]);
  expect(log.match(/"stopping: no more jobs are taken"/g)).toHaveLength(1);
}

const data = () => ["--data", folder];

it.each([
  ["npm start", "npm", ["start", "--"]],
  ["npm run", "npm", ["run", "ourvidz", "--", "start"]],
  ["npx", "npx", ["--no-install", "node", cli, "start"]],
] as const)("%s that gets SIGTERM", async (_what, command, args) => {
  const child = await start(command, [...args, ...data()]);
  child.kill("SIGTERM");
  await expectOrderlyEnd();
});

it("npm that is killed", async () => {
  const child = await start("npm", ["start", "--", ...data()]);
  child.kill("SIGKILL");
  await expectOrderlyEnd();
});

it("the shell that npm was started from, which is no reason to end", async () => {
  const command = `npm start -- --data ${folder} & wait`;
  const child = await start("sh", ["-c", command], { NODE_OPTIONS: `--import ${showLooks}` });
  child.kill("SIGKILL");
  await expect.poll(() => child.signalCode, within).toBe("SIGKILL");
  const looks = () => log.split("looked for the runner").length;
  const before = looks();
  await expect.poll(looks, within).toBeGreaterThan(before + 2);
  expect(log).not.toContain("stopping");
  expect(await processesNaming(folder)).not.toEqual([]);
});

it("a shell that makes way for it", async () => {
  const child = await start("sh", ["-c", `exec node ${cli} start --data ${folder}`]);
  child.kill("SIGTERM");
  await expectOrderlyEnd();
});

it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("a process group with npm in it that gets %s", async (signal) => {
  const child = await start("npm", ["start", "--", ...data()]);
  process.kill(-(child.pid ?? expect.fail("npm has not started")), signal);
  await expectOrderlyEnd();
});

const unshare = ["--fork", "--pid", "--mount-proc"];
const mayUnshare = spawnSync("unshare", [...unshare, "true"]).status === 0;

it.skipIf(!mayUnshare)("the first process of a machine that gets SIGTERM", async () => {
  await start("unshare", [...unshare, "node", cli, "start", ...data()]);
  const first = (await processesNaming([cli, "start", ...data()].join("\0"))).filter((pid) => pid !== starter?.pid);
  for (const pid of first) process.kill(pid, "SIGTERM");
  await expectOrderlyEnd();
});

it("a container with a thread that hangs in a file operation", async () => {
  const hang = fileURLToPath(new URL("support/hang-in-file.js", import.meta.url));
  const child = await start(process.execPath, ["--import", hang, cli, "start", ...data()]);
  child.kill("SIGTERM");
  await expectOrderlyEnd();
  await expect.poll(() => child.signalCode, within).toBe("SIGKILL");
});
