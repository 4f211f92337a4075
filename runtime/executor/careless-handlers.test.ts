import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type ErrorReport, PermanentError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { startTestRuntime, type TestRuntime } from "#test/support/runtime.ts";
import { Executor } from "./parent/executor.ts";
import type { AttemptEnd } from "./parent/task-slot.ts";
import type { ChildJobRequest } from "./protocol.ts";
import { placeNames } from "./testing/handlers/anything.ts";

/* Real executors, and handlers whose authors forgot something: each attempt has one end, and the process goes on. */
const handlersFolder = fileURLToPath(new URL("./testing/handlers", import.meta.url));
const log = { level: "silent", format: "json" } as const;

let folder: string;
let executor: Executor;
let jobs = 0;

const enqueue = vi.fn(async ({ id, type }: ChildJobRequest) => {
  if (type === "nobody") throw new PermanentError("The job type nobody is unknown.", { code: "UNKNOWN_JOB_TYPE" });
  return id;
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-careless-"));
  executor = new Executor(
    { worker: "test", handlersFolder, modelsFolder: folder, cacheFolder: folder, log },
    pino(log),
    { restartMaxMs: 500, stoppedMaxMs: 60_000 },
  );
  executor.start();
  while (executor.status.state !== "idle") await once(executor, "state");
});

afterAll(async () => {
  await executor.stop(1000);
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => void enqueue.mockClear());

function run(type: string, config: Record<string, unknown>): Promise<AttemptEnd> {
  const jobId = `job-${++jobs}`;
  const job = jobEnvelope.parse({ id: jobId, type, config });
  const input = () => Promise.reject(new PermanentError("no files here", { code: "INPUT_REFUSED" }));
  const call = () => Promise.reject(new PermanentError("nobody to call here", { code: "CALL_NOT_OFFERED" }));
  const ignore = () => undefined;
  const hooks = { onProgress: ignore, onStage: ignore, onText: ignore, call, query: call, enqueue, input };
  return executor.run({ jobId, attempt: 1, job, workFolder: join(folder, jobId) }, hooks).ended;
}

async function failure(mistake: string): Promise<{ error: ErrorReport; retry: unknown }> {
  const end = await run("careless", { mistake });
  if (end.kind !== "failed") throw new Error(`${mistake} ended as ${JSON.stringify(end)}`);
  return { error: end.error, retry: end.retry };
}

describe("what a handler hands over is refused at the call, for good, with the place", () => {
  it.each([
    ["function_in_asset", "ctx.asset refuses what it got: metadata.draw: a function is not JSON"],
    ["bigint_returned", "The handler careless returned what is not its output: metadata.seed: a BigInt is not JSON"],
    ["bigint_in_child", "ctx.enqueue refuses the job: config.seeds[1]: a BigInt is not JSON"],
    ["nan_progress", "ctx.progress refuses what it got: step: must be a finite number"],
    ["nan_in_callback", "ctx.progress refuses what it got: step: must be a finite number"],
    ["too_much_progress", "ctx.progress refuses what it got: step: must not be more than total"],
    ["odd_stage", "ctx.stage refuses what it got: seconds: must be a finite number"],
    ["forgotten_refusal", "ctx.enqueue refuses the job: metadata.draw: a function is not JSON"],
  ])("%s", async (mistake, message) => {
    const { pid } = executor.status;
    expect(await failure(mistake)).toEqual({ error: { code: "HANDLER_FAILED", message }, retry: "never" });
    expect(executor.status).toMatchObject({ state: "idle", pid });
  });

  it("a link instead of a file", async () => {
    const { error, retry } = await failure("link");
    expect(error.message).toMatch(/^ctx\.asset refuses .*: it must be a regular file, not a link or a folder\.$/);
    expect(retry).toBe("never");
  });
});

describe("an error is reported whatever it carries", () => {
  it("with details that are no JSON", async () => {
    const { error } = await failure("odd_details");
    expect(error).toMatchObject({
      message: "no paint",
      details: { seed: "7", throwing: { brush: "[cannot be read]" }, draw: "[a function]" },
    });
  });

  it("with a message of megabytes", async () => {
    const { error } = await failure("huge_message");
    expect(error.message.length).toBeLessThan(9000);
  });

  it("with a delay beyond all calendars", async () => {
    expect(await failure("endless_delay")).toMatchObject({ retry: { delaySeconds: 604_800 } });
  });

  it("and a log line that cannot be written ends nothing", async () => {
    expect(await run("careless", { mistake: "odd_log" })).toMatchObject({ kind: "completed" });
  });
});

describe("what is under way when a handler returns is waited for", () => {
  it("pictures are kept", async () => {
    const end = await run("careless", { mistake: "forgotten_assets" });
    expect(end).toMatchObject({ kind: "completed", assets: [{ index: 0 }, { index: 1 }, { index: 2 }] });
  });

  it("children are there before the job ends", async () => {
    expect(await run("careless", { mistake: "forgotten_enqueue" })).toMatchObject({ kind: "completed" });
    expect(enqueue).toHaveBeenCalledOnce();
  });

  it("a failure of it is the attempt's", async () => {
    const { error } = await failure("forgotten_failing_enqueue");
    expect(error).toEqual({ code: "UNKNOWN_JOB_TYPE", message: "The job type nobody is unknown." });
  });

  it("what it would have made afterwards is not lost in silence", async () => {
    const { error, retry } = await failure("forgotten_second_asset");
    expect(error.message).toContain("ctx.asset was called after run of the handler careless had returned: await it");
    expect(retry).toBe("backoff");
  });
});

describe("an error that nobody caught", () => {
  it("fails its own attempt at once", async () => {
    const { pid } = executor.status;
    expect(await failure("forgotten_helper")).toEqual({
      error: { code: "HANDLER_FAILED", message: "no paint" },
      retry: "never",
    });
    expect(executor.status).toMatchObject({ state: "idle", pid });
  });

  it("does no harm to the next attempt", async () => {
    const { pid } = executor.status;
    for (const mistake of ["late_failure", "late_progress", "late_enqueue"]) {
      expect(await run("careless", { mistake })).toMatchObject({ kind: "completed" });
      expect(await run("careless", { mistake: "none" })).toMatchObject({ kind: "completed" });
    }
    expect(enqueue).not.toHaveBeenCalled();
    expect(executor.status).toMatchObject({ state: "idle", pid });
  });

  it("ends the process of a handler that does not end of it", async () => {
    const end = await run("careless", { mistake: "stuck_after_failure" });
    expect(end).toMatchObject({
      kind: "crashed",
      evidence: { exitCode: 1, lastOutput: expect.stringContaining("no paint, and no end") },
    });
    while (executor.status.state !== "idle") await once(executor, "state");
  });
});

it("ends every attempt once and within a second, whatever its handler hands over, and goes on", {
  timeout: 120_000,
}, async () => {
  const { pid } = executor.status;
  const jobsBefore = executor.status.jobsProcessed;
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...placeNames), fc.integer(), async (place, seed) => {
      runs++;
      const end = await Promise.race([run("anything", { place, seed }), pause(1000, "late", { ref: false })]);
      expect(end).toMatchObject({ kind: expect.stringMatching(/^(completed|failed)$/) });
    }),
    { numRuns: 200 },
  );
  expect(executor.status).toMatchObject({ state: "idle", pid, restarts: expect.any(Number) });
  expect(executor.status.jobsProcessed - jobsBefore).toBe(runs);
});

describe("in a container", () => {
  let runtime: TestRuntime;

  beforeEach(async () => {
    runtime = await startTestRuntime({ HANDLERS_DIR: handlersFolder });
  });

  afterEach(async () => {
    await runtime.stop();
    await runtime.remove();
  });

  it("a handler that enqueues too late makes no child for the user whose job runs by then", async () => {
    const first = await runtime.submit("careless", { mistake: "late_enqueue" }, { user_id: "first" });
    const second = await runtime.submit("careless", { mistake: "none" }, { user_id: "second" });
    expect(await runtime.ended(first)).toMatchObject({ status: "completed" });
    expect(await runtime.ended(second)).toMatchObject({ status: "completed" });
    const { jobs: all } = await runtime.queue.list({ limit: 10 });
    expect(all.map(({ job }) => job.id).toSorted()).toEqual([first, second].toSorted());
  });
});
