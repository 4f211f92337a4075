import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { runCli, startCli, temporaryFolder } from "./testing/run-cli.ts";

test("serves HTTP at the address that it prints, logs in JSON, and ends with 0 at SIGTERM", async () => {
  const container = startCli(await temporaryFolder(), ["start", "--port", "0", "--json"]);
  await container.seen('{"url":');
  container.child.stdout?.pause();
  await container.seen("the container is up");
  await container.seen("the console is at");
  container.child.kill("SIGTERM");
  const { exitCode, stdout, stderr } = await container.ended;
  expect(JSON.parse(stdout)).toEqual({ url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
  const lines = stderr.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(expect.arrayContaining(["the container is up", "stopped"]));
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({
      msg: expect.stringMatching(/console is at http:\/\/127\.0\.0\.1:\d+\/$/),
      queues: ["sqlite"],
      runs: expect.objectContaining({ voice: ["say"] }),
      off: expect.arrayContaining(["Supabase (SUPABASE_URL)", "callbacks (CALLBACK_URL)"]),
    }),
  );
  expect(exitCode).toBe(0);
});

test("what killed backups and runs have left in the data folder goes", async () => {
  const folder = await temporaryFolder();
  const data = join(folder, "data");
  const owner = JSON.stringify({ owner: 1, pid: 1, startTicks: 1, boot: "another", namespace: "pid:[1]" });
  for (const records of [".backup-1/owner", ".restore-1/owner", "ourvidz-run-1/containers"]) {
    mkdirSync(join(data, records), { recursive: true });
    writeFileSync(join(data, records, "1.json"), owner);
  }
  const container = startCli(folder, ["start", "--port", "0"]);
  await container.seen("the console is at");
  await expect.poll(() => readdirSync(data).filter((name) => name.endsWith("-1"))).toEqual([]);
  container.child.kill("SIGTERM");
  expect((await container.ended).exitCode).toBe(0);
});

test("a port that is in use ends it with 1 and a sentence", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address !== null ? String(address.port) : "";
  const { exitCode, stdout } = await runCli(await temporaryFolder(), ["start", "--port", port, "--json"]);
  expect(JSON.parse(stdout).error).toMatchObject({ code: "PORT_IN_USE", message: expect.stringContaining(port) });
  expect(exitCode).toBe(1);
});

test("off loopback without a key it does not start: 2", async () => {
  const folder = await temporaryFolder();
  const { exitCode, stderr } = await runCli(folder, ["start", "--host", "0.0.0.0", "--port", "0"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("openssl rand -hex 32");
});

test("at the first signal it lets the job run on, at the second it ends at once", async () => {
  const folder = await temporaryFolder();
  await runCli(folder, ["enqueue", "stubborn"]);
  const container = startCli(folder, ["start", "--port", "0"], { WORKERS: "mule" });
  await container.seen("job started");
  container.child.kill("SIGTERM");
  await container.seen("no more jobs are taken");
  await pause(600);
  expect(container.child.exitCode).toBeNull();
  container.child.kill("SIGTERM");
  expect((await container.ended).exitCode).toBe(143);
});
