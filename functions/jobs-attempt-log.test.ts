import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli } from "#cli/testing/run-cli.ts";
import { attemptLog } from "#contract/attempt-log.ts";
import { startContainer, type TestContainer, testKey } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  const handlers = fileURLToPath(new URL("../runtime/attempt-logs/testing/handlers", import.meta.url));
  container = await startContainer({ HANDLERS_DIR: handlers, WAN_WORKER_API_KEY: testKey, LOG_LEVEL: "info" });
});
afterAll(() => container.stop());

const headers = { Authorization: `Bearer ${testKey}` };

const get = (id: string, attempt: number | string) =>
  container.call("GET", `/jobs/${id}/attempts/${attempt}/log`, { headers });

/** When the log is there and whole: the end of a job does not wait for it. */
async function logOf(id: string, attempt: number) {
  const read = async () => attemptLog.parse((await get(id, attempt)).json);
  await expect.poll(async () => (await read()).ended_at).not.toBeNull();
  return read();
}

async function ran(config: Record<string, unknown>): Promise<string> {
  const id = await container.runtime.submit("print", config);
  await container.runtime.ended(id);
  return id;
}

it("has what each attempt has logged and printed, in order, without secrets", async () => {
  const id = await ran({ end: "mistake" });
  for (const attempt of [1, 2]) {
    const log = await logOf(id, attempt);
    expect(log).toMatchObject({ job_id: id, attempt, run: 1, worker_id: "test-worker", dropped: 0 });
    const text = log.lines.join("\n");
    expect(text).toContain(`out of attempt ${attempt}`);
    expect(text).not.toContain(`out of attempt ${3 - attempt}`);
    expect(text).toContain("beside it: Bearer [redacted]");
    expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info frames are drawn \{"frames":81\}$/m);
    expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} error the handler failed$/m);
    expect(text).toMatch(
      /^> 33 \| {5}if \(config\.end === "mistake"\) return \{ metadata: \{ width: sizes\.width\.pixels/m,
    );
  }
});

it("names the place of a mistake in the job's error, too", async () => {
  const { error } = (await container.runtime.queue.get(await ran({ end: "mistake" }))) ?? {};
  const at = expect.stringMatching(/^handlers\/print\.ts:33:\d+$/);
  expect(error).toMatchObject({ code: "HANDLER_FAILED", details: { at } });
  expect(error?.message).toMatch(
    /^Cannot read properties of undefined \(reading 'pixels'\) \(handlers\/print\.ts:33:\d+\)$/,
  );
});

it("keeps the last hundred lines, the last one unfinished", async () => {
  const { lines, dropped } = await logOf(await ran({ lines: 150 }), 1);
  expect(lines).toHaveLength(100);
  expect(lines).toEqual(expect.arrayContaining(["line 150", "without an end"]));
  // Two lines of the other stream, and the first one.
  expect(dropped).toBe(54);
});

it("has the last words of a process that died", async () => {
  const id = await ran({ end: "exit" });
  for (const attempt of [1, 2]) expect((await logOf(id, attempt)).lines).toContain("last words");
});

it("can be read while the attempt runs", async () => {
  const gate = join(container.runtime.folder, "gate");
  const id = await container.runtime.submit("print", { gate });
  await expect.poll(async () => (await get(id, 1)).text).toContain("frames are drawn");
  expect((await get(id, 1)).json).toMatchObject({ ended_at: null, run: 1 });
  await writeFile(gate, "");
  expect((await logOf(id, 1)).lines).toContain("without an end");
});

it("says where it is, or that there is no such attempt", async () => {
  const id = await ran({});
  expect((await get(id, 2)).json).toMatchObject({
    code: "NOT_FOUND",
    error: expect.stringMatching(/no attempt 2: it has 1\./),
  });
  expect((await get(id, "last")).status).toBe(400);
  expect((await get("nobody", 1)).json).toMatchObject({ code: "JOB_NOT_FOUND" });
});

it("is printed by the command, of the data folder and of a container", async () => {
  const id = await ran({ end: "mistake" });
  await logOf(id, 2);
  const { url } = await container.listen();
  const { folder } = container.runtime;
  for (const args of [
    ["--data", folder],
    ["--url", url, "--key", testKey],
  ]) {
    const { stdout, exitCode } = await runCli(folder, ["job", id, "--log", ...args]);
    expect({ exitCode, lines: stdout.split("\n") }).toMatchObject({
      exitCode: 0,
      lines: expect.arrayContaining(["out of attempt 2"]),
    });
    const first = await runCli(folder, ["job", id, "--log", "1", "--json", ...args]);
    expect(JSON.parse(first.stdout)).toMatchObject({ attempt: 1, lines: expect.arrayContaining(["out of attempt 1"]) });
  }
  const { stderr, exitCode } = await runCli(folder, ["job", id, "--log", "0", "--data", folder]);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 2,
    stderr: expect.stringContaining("It must be the number of an attempt"),
  });
});

it("goes with the job's files", async () => {
  const id = await ran({});
  await logOf(id, 1);
  await container.call("POST", `/jobs/${id}/discard?files=true`, { headers });
  expect(await container.runtime.attemptLogs.read(id, 1)).toBeNull();
});
