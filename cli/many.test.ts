import { expect, test } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { callbackMigrations } from "#runtime/delivery/callbacks/callback-log.ts";
import { outboxMigrations } from "#runtime/delivery/outbox-migrations.ts";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

/* Many jobs at once, from the command line. */

const crashed: ErrorReport = { code: "EXECUTOR_CRASHED", message: "the executor was killed" };
const refused: ErrorReport = { code: "HANDLER_FAILED", message: "a lake cannot be a square", permanent: true };

async function json(folder: string, exitCode: number, ...args: string[]) {
  const result = await runCli(folder, [...args, "--json"]);
  expect({ exitCode: result.exitCode, stderr: result.stderr }).toEqual({ exitCode, stderr: expect.any(String) });
  return JSON.parse(result.stdout);
}

/** A data folder with jobs of one worker: so many failed in each way, and so many that wait. */
async function folderWith(crashes: number, refusals: number, waiting: number): Promise<string> {
  const folder = await temporaryFolder();
  await runCli(folder, ["enqueue", "draw", "a fox", "--user", "waiter", "--delay", "600"]);
  const migrations = [...sourceMigrations, ...outboxMigrations, ...callbackMigrations];
  const database = await openDatabase(databaseFile(`${folder}/data`), migrations);
  const source = new SqliteSource(database, { workerId: "container-1" });
  const enqueue = (id: string, user_id: string) =>
    source.enqueue(jobEnvelope.parse({ id, type: "draw", prompt: "a hill", user_id }), { worker: "pencil" });
  for (let n = 0; n < crashes + refusals; n++) {
    await enqueue(`failed-${n}`, "ann");
    const { leases } = await source.take([{ worker: "pencil", slots: 1 }]);
    for (const lease of leases) await source.fail(lease, n < crashes ? crashed : refused);
  }
  for (let n = 0; n < waiting; n++) await enqueue(`waiting-${n}`, "bob");
  await source.close();
  database.close();
  return folder;
}

test("failures are shown in groups, retried as far as they can succeed, and discarded", async () => {
  const folder = await folderWith(2, 3, 0);
  expect(await json(folder, 0, "failures")).toMatchObject({
    groups: [
      { queue: "pencil_queue", code: "HANDLER_FAILED", type: "draw", jobs: 3, retryable: 0 },
      { queue: "pencil_queue", code: "EXECUTOR_CRASHED", type: "draw", jobs: 2, retryable: 2 },
    ],
  });
  const shown = await runCli(folder, ["failures"]);
  expect(shown.stdout).toMatch(/pencil_queue\tHANDLER_FAILED\tdraw\t3\t0\t.*\tfailed-4\ta lake cannot be a square/);
  const retried = await json(folder, 0, "retry", "--queue", "pencil_queue", "--yes");
  const left = [{ code: "JOB_NOT_RETRYABLE", jobs: 3 }];
  expect(retried).toMatchObject({ redriven: 2, matched: 5, left, dry_run: false, interrupted: false });
  const counted = await json(folder, 0, "discard", "--queue", "pencil", "--code", "HANDLER_FAILED", "--dry-run");
  expect(counted).toMatchObject({ discarded: 3, dry_run: true });
  const discarded = await runCli(folder, ["discard", "--queue", "pencil", "--code", "HANDLER_FAILED", "--yes"]);
  expect(discarded).toMatchObject({ exitCode: 0, stdout: "3 discarded, 0 files\n" });
  expect(await json(folder, 0, "failures")).toMatchObject({ groups: [] });
}, 120_000);

test("jobs of a user are cancelled, and what was cancelled waits for its report", async () => {
  const folder = await folderWith(0, 0, 3);
  const cancelled = await json(folder, 0, "cancel", "--user", "bob", "--status", "queued", "--yes");
  expect(cancelled).toMatchObject({ cancelled: 3, requested: 0, left: [] });
  const { stdout, stderr, exitCode } = await runCli(folder, ["discard", "--status", "cancelled", "--yes"]);
  expect({ stdout, exitCode }).toEqual({ stdout: "0 discarded, 0 files\n", exitCode: 0 });
  expect(stderr).toContain("3 jobs left (JOB_NOT_SETTLED): Their final callbacks are with no container yet");
}, 120_000);

test("a change of many jobs is asked for by name, and nobody is asked where there is no terminal", async () => {
  const folder = await folderWith(1, 0, 0);
  for (const [args, words] of [
    [["discard"], "Name a job, or say which jobs"],
    [["discard", "failed-0", "--all"], "not both"],
    [["discard", "failed-0", "--dry-run"], "leave it out for one job"],
    [["retry", "failed-0", "--dry-run"], "leave it out for one job"],
    [["cancel", "failed-0", "--dry-run"], "leave it out for one job"],
    [["discard", "--all"], "add --yes"],
    [["cancel", "--user", "ann"], "add --yes"],
    [["cancel", "--older-than", "soon", "--yes"], "90s, 30m, 12h or 7d"],
    [["retry", "--code", "HANDLER_FAILED", "--yes"], "--queue"],
    [["discard", "--status", "running", "--yes"], "failed, completed, cancelled, any"],
    [["discard", "--status", "completed", "--code", "INVALID_JOB", "--yes"], "Only failed jobs have an error's code"],
    [["discard", "--code", "invalid-job", "--yes"], "such as INVALID_JOB"],
    [["cancel", "--user", "", "--yes"], "1 to 128 letters"],
    [["jobs", "--type", " "], "must not be empty"],
    [
      ["enqueue", "draw", "a hill", "--priority", "1e9"],
      "--priority is 1000000000: must be a whole number from -100 to 100",
    ],
  ] as const) {
    const { exitCode, stderr } = await runCli(folder, args);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(words) });
  }
  expect(await json(folder, 0, "failures")).toMatchObject({ groups: [{ jobs: 1 }] });
  expect(await json(folder, 0, "discard", "failed-0")).toEqual({ job_id: "failed-0", status: "discarded", files: 0 });
  expect(await json(folder, 1, "discard", "failed-0")).toMatchObject({ error: { code: "JOB_NOT_FOUND" } });
}, 120_000);

test("a queue that is not there is refused, and what may be mistyped is said when nothing matches", async () => {
  const folder = await folderWith(1, 0, 0);
  for (const args of [
    ["failures", "--queue", "pencl"],
    ["discard", "--queue", "pencl_queue", "--dry-run"],
    ["cancel", "--queue", "pencl", "--dry-run"],
    ["retry", "--queue", "pencl", "--dry-run"],
  ]) {
    const { exitCode, stderr } = await runCli(folder, args);
    expect([args[0], exitCode]).toEqual([args[0], 1]);
    expect(stderr).toMatch(
      /There is no queue "pencl(_queue)?"; there are: .*pencil_queue.* Did you mean "pencil_queue"\?/,
    );
    // Named as it was written.
    expect(stderr).toContain(`"${args[2]}"`);
  }
  // One without jobs is there all the same.
  expect((await runCli(folder, ["failures", "--queue", "hammer"])).exitCode).toBe(0);
  const listed = await runCli(folder, ["jobs", "--type", "drew"]);
  expect(listed.stderr).toContain('There are no such jobs. There is no job type "drew" here. Did you mean "draw"?');
  const counted = await runCli(folder, ["discard", "--type", "draw", "--code", "EXECUTOR_CRASH", "--dry-run"]);
  expect(counted.stderr).toContain("No job matches. There is no error code EXECUTOR_CRASH here.");
  expect((await runCli(folder, ["discard", "--type", "draw", "--dry-run"])).stderr).not.toContain("No job matches");
}, 120_000);
