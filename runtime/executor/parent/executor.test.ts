import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { testHandlers } from "#test/support/runtime.ts";
import type { ExecutorSettings } from "../protocol.ts";
import type { AttemptOutput } from "./attempt-output.ts";
import { Executor, type ExecutorState } from "./executor.ts";
import type { TaskHooks } from "./task-slot.ts";

const zod = fileURLToPath(import.meta.resolve("zod"));

let folder: string;
let executor: Executor | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-executor-"));
});

afterEach(async () => {
  await executor?.stop(1000);
  await rm(folder, { recursive: true, force: true });
});

function create(
  handlersFolder = testHandlers,
  log: ExecutorSettings["log"] = { level: "silent", format: "json" },
): Executor {
  executor = new Executor(
    { worker: "test", handlersFolder, modelsFolder: folder, cacheFolder: folder, log },
    pino({ level: "silent" }),
    { restartMaxMs: 500, stoppedMaxMs: 60_000 },
  );
  return executor;
}

async function reaches(one: Executor, state: ExecutorState): Promise<void> {
  while (one.status.state !== state) await once(one, "state");
}

function task(config: Record<string, unknown> = {}) {
  const job = jobEnvelope.parse({ id: "job", type: "noop", config });
  return { jobId: "job", attempt: 1, job, workFolder: join(folder, "work") };
}

const hooks: TaskHooks = {
  onProgress: () => undefined,
  onStage: () => undefined,
  onText: () => undefined,
  call: () => Promise.reject(new Error("no job of these tests calls")),
  query: () => Promise.resolve([]),
  enqueue: async () => "child",
  input: () => Promise.reject(new Error("no job of these tests has a reference file")),
};

describe("an executor", () => {
  it("may be given its first job while it boots", async () => {
    const one = create();
    one.start();
    expect(one).toMatchObject({ status: { state: "starting" }, available: true });
    const { ended } = one.run(task(), hooks);
    expect(one.available).toBe(false);
    expect(await ended).toMatchObject({ kind: "completed", assets: [{ index: 0, mimeType: "text/plain" }] });
    expect(one).toMatchObject({ available: true, status: { state: "idle", jobsProcessed: 1 } });
  });

  it("prints what is about a job in RunPod's words, under the id by which the platform knows it", async () => {
    const one = create(testHandlers, { level: "error", format: "runpod" });
    one.start();
    const begun = Promise.withResolvers<AttemptOutput>();
    const failing = { ...task({ fail_until_attempt: 1 }), requestId: "a-u1" };
    const { ended } = one.run(failing, { ...hooks, onBegin: begun.resolve });
    expect(await ended).toMatchObject({ kind: "failed" });
    const output = await begun.promise;
    await output.closed;
    const line = output.lines.map((text) => JSON.parse(text)).find(({ message }) => message === "the handler failed");
    expect(line).toMatchObject({ requestId: "a-u1", job_id: "job", attempt: 1, level: "error", executor: "test" });
  });

  it("says what is wrong with a file that it cannot load, after a restart too", async () => {
    const file = join(folder, "later.ts");
    const good = `import { z } from ${JSON.stringify(zod)};
      export default { type: "later", worker: "test", produces: "nothing", input: z.any(), retry: { maxAttempts: 1, timeoutSeconds: 5 }, run: async () => ({}) };`;
    await writeFile(file, good);
    await writeFile(join(folder, "other.ts"), good.replace('"later"', '"other"'));
    const one = create(folder);
    one.start();
    await reaches(one, "idle");
    expect(one.status).toMatchObject({ types: ["later", "other"], problems: [] });
    await writeFile(file, "export default {{");
    await one.restart(1000);
    await reaches(one, "idle");
    expect(one.status).toMatchObject({ types: ["other"], problems: [{ type: "later" }] });
    expect(one.status.problems[0]?.problem).toMatch(/later\.ts:1:17: .*(expected|unexpected)/i);
  });

  it("can stop a job that it has not begun", async () => {
    const one = create();
    one.start();
    const running = one.run(task({ steps: 1000, step_ms: 1000 }), hooks);
    running.abort("cancelled");
    expect(await running.ended).toEqual({ kind: "aborted", reason: "cancelled" });
    await reaches(one, "idle");
  });

  it("gives a job back that it could not begin, and takes none until it starts well", async () => {
    await writeFile(join(folder, "bad.ts"), "throw new Error('no paint in this box');");
    const one = create(folder);
    one.start();
    const { ended } = one.run(task(), hooks);
    expect(await ended).toEqual({ kind: "not_started" });
    expect(one.status.startError).toMatchObject({
      code: "HANDLER_INVALID",
      message: expect.stringContaining("no paint in this box"),
    });
    await reaches(one, "starting");
    expect(one.available).toBe(false);
    await rm(join(folder, "bad.ts"));
    await reaches(one, "idle");
    expect(one).toMatchObject({ status: { startError: null }, available: true });
  });

  it("reports how its process died, and starts another", async () => {
    const one = create();
    one.start();
    await reaches(one, "idle");
    const end = await one.run(task({ failure: "exit", fail_until_attempt: 1 }), hooks).ended;
    expect(end).toMatchObject({
      kind: "crashed",
      evidence: { exitCode: 7, signal: null, lastOutput: expect.stringContaining("last words") },
    });
    expect(one).toMatchObject({ status: { state: "waiting", restarts: 1, pid: null }, available: false });
    await reaches(one, "idle");
  });

  it("does not die of the signals that a terminal sends to everybody", async () => {
    const one = create();
    one.start();
    await reaches(one, "idle");
    process.kill(one.status.pid ?? expect.fail("the executor has no process"), "SIGINT");
    // 0 would be every process of this run.
    process.kill(one.status.pid ?? expect.fail("the executor has no process"), "SIGTERM");
    expect(await one.run(task(), hooks).ended).toMatchObject({ kind: "completed" });
    expect(one.status.restarts).toBe(0);
  });

  it("has no key of the container in its environment", async () => {
    const secrets = ["SUPABASE_SERVICE_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY", "JOB_CALLBACK_SECRET"];
    const others = ["UPSTASH_REDIS_REST_TOKEN", "WAN_WORKER_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS", "PGPASSWD"];
    for (const name of [...secrets, ...others, "OMP_NUM_THREADS"]) vi.stubEnv(name, "1");
    vi.stubEnv("HTTPS_PROXY", "http://ann:pink@proxy.example:3128");
    onTestFinished(() => void vi.unstubAllEnvs());
    const one = create(fileURLToPath(new URL("../testing/handlers", import.meta.url)));
    one.start();
    const end = await one.run({ ...task(), job: jobEnvelope.parse({ id: "job", type: "environment" }) }, hooks).ended;
    const names = end.kind === "completed" ? end.metadata.names : end;
    expect(names).toEqual(expect.arrayContaining(["PATH", "OMP_NUM_THREADS"]));
    expect(String(names)).not.toMatch(/KEY|TOKEN|SECRET|HEADERS|PASSWD|PROXY/);
  });

  it("is gone after stop, also in the middle of a job", async () => {
    const one = create();
    one.start();
    await reaches(one, "idle");
    const { pid } = one.status;
    const { ended } = one.run(task({ steps: 1000, step_ms: 1000 }), hooks);
    await one.stop(5000);
    expect(await ended).toEqual({ kind: "aborted", reason: "shutdown" });
    expect(one.status.state).toBe("stopped");
    expect(() => process.kill(pid ?? 0, 0)).toThrow(/ESRCH/);
  });
});
