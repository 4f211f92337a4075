import { access, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCli, startCli, startCliReading, temporaryFolder, withSledge } from "./testing/run-cli.ts";

/** Runs a command with --json, which must end with this exit code, and returns what it printed. */
async function json(folder: string, exitCode: number, ...args: string[]) {
  const result = await runCli(folder, [...args, "--json"]);
  expect({ exitCode: result.exitCode, stderr: result.stderr }).toEqual({ exitCode, stderr: expect.any(String) });
  return JSON.parse(result.stdout);
}

describe("jobs of a data folder without a container", () => {
  test("are enqueued, listed, shown and cancelled", async () => {
    const folder = await temporaryFolder();
    const first = await json(folder, 0, "enqueue", "draw", "a fox", "--seed", "1", "--user", "ada", "--priority", "5");
    expect(first).toStrictEqual({
      job_id: expect.any(String),
      status: "queued",
      queue_position: 1,
      created: true,
      ignored: [],
    });
    const second = await json(folder, 0, "enqueue", "say", "hello", "--delay", "60");

    const page = await json(folder, 0, "jobs", "--limit", "1");
    expect(page.jobs).toMatchObject([{ job_id: second.job_id, type: "say", status: "queued", prompt: "hello" }]);
    const rest = await json(folder, 0, "jobs", "--cursor", page.cursor);
    expect(rest).toMatchObject({ jobs: [{ job_id: first.job_id, user_id: "ada", priority: 5 }], cursor: null });
    expect((await json(folder, 0, "jobs", "--type", "draw", "--status", "failed")).jobs).toEqual([]);

    const shown = await json(folder, 0, "job", first.job_id);
    expect(shown).toMatchObject({ config: { seed: 1 }, attempts: [], assets: [], error: null });
    expect(await json(folder, 0, "cancel", first.job_id)).toMatchObject({ status: "cancelled" });
    expect(await json(folder, 1, "cancel", first.job_id)).toMatchObject({ error: { code: "JOB_ALREADY_SETTLED" } });
    expect(await json(folder, 1, "retry", first.job_id)).toMatchObject({ error: { code: "JOB_NOT_FAILED" } });
  });

  test.each([
    [["jobs"], { jobs: [], cursor: null }],
    [["queues"], { queues: [] }],
    [["failures"], { groups: [] }],
    [["failures", "--undecodable"], { elements: [] }],
  ])("are none before the first one: %j", async (args, none) => {
    expect(await json(await temporaryFolder(), 0, ...args)).toMatchObject(none);
  });

  test("may have their prompt piped in, in place of the word -", async () => {
    const folder = await temporaryFolder();
    const piped = (input: string, ...words: string[]) =>
      startCliReading(folder, ["enqueue", "draw", ...words, "--json"], input).ended;
    expect(await piped("a fox\nin the snow\n", "-")).toMatchObject({ exitCode: 0 });
    expect(await piped("not read", "a", "-")).toMatchObject({ exitCode: 0 });
    expect((await json(folder, 0, "jobs")).jobs).toMatchObject([{ prompt: "a -" }, { prompt: "a fox\nin the snow" }]);
  });

  test("are given another priority, and stand still with their queue", async () => {
    const folder = await temporaryFolder();
    const { job_id } = await json(folder, 0, "enqueue", "draw", "a fox");
    expect(await json(folder, 0, "priority", job_id, "50")).toStrictEqual({ job_id, priority: 50 });
    expect(await json(folder, 2, "priority", job_id, "101")).toMatchObject({ error: { code: "INVALID_REQUEST" } });
    const [{ queue }] = (await json(folder, 0, "queues")).queues;
    expect(await json(folder, 0, "pause", queue)).toStrictEqual({ queue, paused: true, unreachable: [] });
    expect((await json(folder, 0, "queues")).queues).toMatchObject([
      { queue, queued: 1, paused_since: expect.any(String) },
    ]);
    expect(await json(folder, 0, "job", job_id)).toMatchObject({
      priority: 50,
      queue_position: 1,
      waiting_reason: { code: "QUEUE_PAUSED" },
    });
    expect(await json(folder, 0, "resume", queue)).toStrictEqual({ queue, paused: false, unreachable: [] });
    expect(await json(folder, 2, "pause", "draw")).toMatchObject({ error: { code: "INVALID_REQUEST" } });
    expect(await json(folder, 1, "pause", `x${queue}`)).toMatchObject({
      error: { code: "NOT_FOUND", message: expect.stringContaining(`Did you mean "${queue}"?`) },
    });
  });

  test("say what nothing reads of them", async () => {
    const folder = await temporaryFolder();
    const config = ["--config", '{"novelty":1,"strength":0.5}'];
    expect(await json(folder, 0, "enqueue", "stripe", "a fox", ...config)).toMatchObject({
      ignored: ["config.novelty", "config.strength"],
    });
    const near = ["--config", '{"novelty":1,"webhook_url":"https://app.example/ended"}'];
    const { stderr } = await runCli(folder, ["enqueue", "stripe", "a fox", ...near]);
    expect(stderr).toContain(
      "ignored, as nothing reads them: config.novelty, config.webhook_url (did you mean webhook_url?)\n",
    );
    expect(await json(folder, 0, "run", "stripe", "a fox", ...config)).toMatchObject({
      status: "completed",
      ignored: ["config.novelty", "config.strength"],
    });
  });

  test("are printed with tabs when standard output is no terminal, a line each", async () => {
    const folder = await temporaryFolder();
    await runCli(folder, ["enqueue", "draw", "line one\nline two\u001b[31m"]);
    const { stdout } = await runCli(folder, ["jobs"]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toBe("JOB\tTYPE\tSTATUS\tATTEMPT\tAGE\tPROMPT");
    expect(lines.slice(1).map((line) => line.split("\t").at(-1))).toEqual(["line one line two [31m"]);
  });

  test("are refused when their moment is over", async () => {
    const folder = await temporaryFolder();
    const config = ["--config", '{"expires_at":"2026-01-01T00:00:00Z"}'];
    expect(await json(folder, 2, "enqueue", "draw", "a fox", ...config)).toMatchObject({
      error: { code: "INVALID_JOB", message: expect.stringContaining("config.expires_at") },
    });
  });

  test("are one job for one idempotency key", async () => {
    const folder = await temporaryFolder();
    const enqueue = (prompt: string, code: number) =>
      json(folder, code, "enqueue", "draw", prompt, "--idempotency-key", "order-17");
    const first = await enqueue("a fox", 0);
    expect(await enqueue("a fox", 0)).toMatchObject({ job_id: first.job_id, created: false });
    expect(await enqueue("a hare", 1)).toMatchObject({ error: { code: "IDEMPOTENCY_CONFLICT" } });
  });

  test("may be enqueued by several processes at once, into a folder that is not there yet", async () => {
    const folder = await temporaryFolder();
    const jobs = await Promise.all([1, 2, 3].map((n) => json(folder, 0, "enqueue", "draw", `fox ${n}`)));
    const listed: { job_id: string }[] = (await json(folder, 0, "jobs")).jobs;
    expect(listed.map((job) => job.job_id).sort()).toEqual(jobs.map((job) => job.job_id).sort());
  });

  test("are not looked for in a folder without a database, and none is made", async () => {
    const folder = await temporaryFolder();
    const answer = await json(folder, 1, "jobs", "--data", "nowhere");
    expect(answer.error).toEqual({
      code: "DATA_FOLDER_UNUSABLE",
      message: expect.stringContaining(`There are no jobs in ${join(folder, "nowhere")}: enqueue one`),
    });
    await expect(access(join(folder, "nowhere"))).rejects.toThrow("ENOENT");
  });

  const bad: readonly (readonly [args: string[], message: string])[] = [
    [["enqueue", "draw", "x", "--priority", "101"], "--priority is 101"],
    [["enqueue", "draw", "x", "--user", "a/b"], '--user is "a/b"'],
    [["enqueue", "draw", "x", "--delay", "-1"], "--delay is -1: it must be 0 to 2,592,000 seconds"],
    [["enqueue", "draw", "x", "--idempotency-key", ""], "--idempotency-key has 0 characters: it must have 1 to 255."],
    [["jobs", "--limit", "0"], "--limit is 0: it must be a whole number from 1 to 1000."],
    [["jobs", "--status", "done"], "Allowed choices are queued, running, completed, failed, cancelled."],
    [["jbos"], "Unknown command 'jbos'. Did you mean jobs?"],
    [["cancel"], "Name a job, or say which jobs"],
  ];

  test.concurrent.each(bad)("bad usage ends with 2: %j", async (args, message) => {
    const answer = await json(await temporaryFolder(), 2, ...args);
    expect(answer.error.message).toContain(message);
  });

  test("an invalid environment ends with 2 and names the variable", async () => {
    const result = await runCli(await temporaryFolder(), ["jobs", "--json"], { LEASE_SECONDS: "soon" });
    expect(result.exitCode).toBe(2);
    expect(JSON.parse(result.stdout).error).toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("LEASE_SECONDS"),
    });
  });
});

describe("beside a running container", () => {
  test("jobs are followed to their end, cancelled and retried", async () => {
    const folder = await temporaryFolder();
    const container = startCli(folder, ["start", "--port", "0"], {
      WORKERS: "brush,hammer",
      ...(await withSledge()),
    });
    await container.seen("listening on");

    const good = await json(folder, 0, "enqueue", "draw", "a fox", "--seed", "3");
    const done = await json(folder, 0, "job", good.job_id, "--follow");
    expect(done).toMatchObject({ status: "completed", attempt: 1, attempts: [{ outcome: "completed" }] });
    expect(done.assets).toMatchObject([{ file: expect.stringMatching(/^\/.*\/0\.png$/), metadata: { seed: 3 } }]);
    await access(done.assets[0].file);
    expect((await runCli(folder, ["job", good.job_id])).stdout).toContain(done.assets[0].file);
    // As with files in the app's storage, or in the data folder of another container.
    await rm(done.assets[0].file);
    expect((await runCli(folder, ["job", good.job_id])).stdout).toContain("/0.png (not in this data folder)\n");

    const endless = await json(folder, 0, "enqueue", "draw", "x", "--steps", "150", "--config", '{"step_ms":200}');
    const follower = startCli(folder, ["job", endless.job_id, "--follow"]);
    await follower.seen("running");
    expect(await json(folder, 0, "cancel", endless.job_id)).toMatchObject({
      status: "running",
      cancel_requested: true,
    });
    const followed = await follower.ended;
    expect(followed.exitCode).toBe(1);
    expect(followed.stdout).toMatch(/^status +cancelled$/m);

    const broken = await json(folder, 0, "enqueue", "break", "permanent");
    const failed = await json(folder, 1, "job", broken.job_id, "--follow");
    expect(failed.error).toMatchObject({ code: "HANDLER_FAILED", message: expect.stringContaining("too hard") });
    expect(await json(folder, 1, "retry", broken.job_id)).toMatchObject({ error: { code: "JOB_NOT_RETRYABLE" } });
    const retried = await json(folder, 0, "retry", broken.job_id, "--force");
    expect(retried).toEqual({ job_id: broken.job_id, status: "queued" });

    container.child.kill("SIGTERM");
    expect((await container.ended).exitCode).toBe(0);
  });

  test("Ctrl-C ends the following and not the job", async () => {
    const folder = await temporaryFolder();
    const { job_id } = await json(folder, 0, "enqueue", "draw", "x");
    const follower = startCli(folder, ["job", job_id, "--follow"]);
    await follower.seen("queued");
    follower.child.kill("SIGINT");
    expect((await follower.ended).exitCode).toBe(130);
    expect(await json(folder, 0, "job", job_id)).toMatchObject({ status: "queued", cancel_requested: false });
  });
});
