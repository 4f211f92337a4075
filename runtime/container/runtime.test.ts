import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "#test/support/runtime.ts";
import { openEmbedded } from "./embedded.ts";

let runtime: TestRuntime;

beforeAll(async () => {
  runtime = await startTestRuntime({ ABORT_GRACE_SECONDS: "0.3" });
});

afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
});

async function callbacksOf(jobId: string) {
  const embedded = await openEmbedded(runtime.config);
  try {
    return embedded.callbacks.of(jobId);
  } finally {
    await embedded.close();
  }
}

describe("a job that goes well", () => {
  it("leaves its file at the deterministic path, one final callback and a settled record", async () => {
    const id = await runtime.submit("noop", { steps: 3, colour: "green" }, { user_id: "ann", image_id: "row-7" });
    const record = await runtime.ended(id);
    expect(record).toMatchObject({ status: "completed", attempt: 1, progress: 1, error: null });
    expect(await readFile(join(runtime.folder, "files", "noop", "ann", id, "0.txt"), "utf8")).toBe(
      `${id} a quiet lake\n`,
    );
    const [processing, final, ...rest] = await callbacksOf(id);
    expect(rest).toEqual([]);
    expect(processing?.status).toBe("processing");
    expect(final?.body).toMatchObject({
      job_id: id,
      status: "completed",
      attempt: 1,
      assets: [{ type: "text", url: `ann/${id}/0.txt`, mime_type: "text/plain", index: 0 }],
      metadata: { job_type: "noop", image_id: "row-7", steps: 3, ignored: ["colour"], worker_id: "test-worker" },
    });
    expect(runtime.delivery.pending).toBe(0);
    expect(await readdir(join(runtime.folder, "work"))).toEqual([]);
  });

  it("runs a handler inside another, and enqueues a child once however often the parent runs", async () => {
    const record = await runtime.ended(await runtime.submit("parent"));
    expect(record).toMatchObject({ status: "completed", attempt: 2, result: { metadata: { inner: { steps: 2 } } } });
    const child = String(record.result?.metadata.child);
    await runtime.ended(child);
    const { jobs } = await runtime.queue.list({ type: "noop", limit: 100 });
    const children = jobs.filter((job) => job.job.metadata.parent_job_id === record.job.id);
    expect(children.map((job) => job.job.id)).toEqual([child]);
  });
});

describe("children", () => {
  it("of a job and of what runs inside it are different jobs", async () => {
    const record = await runtime.ended(await runtime.submit("grandparent"));
    expect(record).toMatchObject({ status: "completed" });
    const { own, inner } = record.result?.metadata ?? {};
    expect(new Set([own, inner]).size).toBe(2);
    expect(await runtime.ended(String(own))).toMatchObject({ job: { prompt: "first" } });
    expect(await runtime.ended(String(inner))).toMatchObject({ job: { prompt: expect.stringMatching(/^child of/) } });
  });

  it("of an unknown type end their parent at once", async () => {
    const record = await runtime.ended(await runtime.submit("grandparent", { type: "no_such_type" }));
    expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code: "UNKNOWN_JOB_TYPE" } });
  });
});

describe("a job that goes wrong", () => {
  it.each([
    ["error", "HANDLER_FAILED"],
    ["retryable", "HANDLER_FAILED"],
    ["exit", "EXECUTOR_CRASHED"],
    ["kill", "EXECUTOR_CRASHED"],
  ])("is retried after %s", async (failure, code) => {
    const record = await runtime.ended(await runtime.submit("noop", { failure, fail_until_attempt: 1 }));
    expect(record).toMatchObject({
      status: "completed",
      attempt: 2,
      attempts: [{ outcome: "retried", error: { code } }, { outcome: "completed" }],
    });
  });

  it("fails with the evidence when it kills its executor every time", async () => {
    const record = await runtime.ended(await runtime.submit("noop", { failure: "exit", fail_until_attempt: 9 }));
    expect(record).toMatchObject({
      status: "failed",
      attempt: 3,
      error: {
        code: "EXECUTOR_CRASHED",
        message: expect.stringContaining("exit code 7"),
        details: { lastOutput: expect.stringContaining("last words") },
      },
    });
    expect((await callbacksOf(record.job.id)).at(-1)?.body).toMatchObject({
      status: "failed",
      metadata: { error_type: "EXECUTOR_CRASHED" },
    });
  });

  it("fails at once after a permanent error", async () => {
    const record = await runtime.ended(await runtime.submit("noop", { failure: "permanent", fail_until_attempt: 9 }));
    expect(record).toMatchObject({ status: "failed", attempt: 1, error: { message: "the handler can never do this" } });
  });

  it("fails at once, naming the field, when its config is wrong", async () => {
    const record = await runtime.ended(await runtime.submit("noop", { steps: -2 }));
    expect(record).toMatchObject({
      status: "failed",
      attempt: 1,
      error: { code: "INVALID_JOB", message: expect.stringMatching(/config\.steps is -2/) },
    });
  });

  it("waits uncharged while its type is unknown here", async () => {
    const id = await runtime.submit("no_such_type");
    await expectLeftWaiting(runtime, id, "no_such_type");
    await runtime.queue.cancel(id);
  });

  it.each([true, false])(
    "times out, and its process is killed when it does not listen (blocks: %s)",
    async (blocks) => {
      const record = await runtime.ended(await runtime.submit("stubborn", { blocks }));
      expect(record).toMatchObject({
        status: "failed",
        error: { code: "TIMED_OUT", message: expect.stringContaining("0.3 s") },
      });
    },
  );
});

describe("what must not stop the container", () => {
  it("a job whose id is a word that event emitters know", async () => {
    const record = await runtime.ended(await runtime.submit("noop", {}, { id: "error" }));
    expect(record).toMatchObject({ status: "completed" });
  });

  it("a schema that throws", async () => {
    const record = await runtime.ended(await runtime.submit("elsewhere", { schema: "throws" }));
    expect(record).toMatchObject({ status: "failed", error: { message: "this schema throws" } });
  });

  it("a result that is not JSON", async () => {
    const record = await runtime.ended(await runtime.submit("elsewhere", { result: "no_json" }));
    expect(record).toMatchObject({
      status: "failed",
      attempt: 1,
      error: {
        message: expect.stringContaining(
          "elsewhere returned what is not its output: metadata.count: a BigInt is not JSON",
        ),
      },
    });
  });

  it("a job on the queue of a worker that it does not belong to", async () => {
    const job = jobEnvelope.parse({ id: "misplaced", type: "elsewhere", prompt: "a lake" });
    const narrow = await startTestRuntime({ WORKERS: "test" });
    await narrow.queue.enqueue(job, { worker: "test" });
    await expectLeftWaiting(narrow, "misplaced", "elsewhere");
    await narrow.stop();
    await narrow.remove();
  });
});

it("delivers what an earlier process finished although its lease ran out while nobody was there", async () => {
  const first = await startTestRuntime({ LEASE_SECONDS: "1" });
  // The file cannot be stored: a file stands where its folder should be.
  await writeFile(join(first.folder, "files", "noop"), "");
  const id = await first.submit("noop");
  await untilEvent(first, id, (event) => event.kind === "progress");
  await expect.poll(() => first.delivery.pending).toBe(1);
  await first.stop();
  await rm(join(first.folder, "files", "noop"));
  await new Promise((resolve) => setTimeout(resolve, 1200));
  const second = await startTestRuntime({ DATA_DIR: first.folder, LEASE_SECONDS: "1" });
  expect(await second.ended(id)).toMatchObject({
    status: "completed",
    attempt: 1,
    attempts: [{ outcome: "completed" }],
  });
  await second.stop();
  await second.remove();
});

describe("cancel", () => {
  it("stops a running job between two steps and keeps nothing", async () => {
    const id = await runtime.submit("noop", { steps: 1000, step_ms: 20 });
    await untilEvent(runtime, id, (event) => event.kind === "progress" && event.step >= 2);
    expect(await runtime.queue.cancel(id)).toBe("requested");
    const record = await runtime.ended(id);
    expect(record).toMatchObject({ status: "cancelled", result: null });
    expect((await callbacksOf(id)).at(-1)).toMatchObject({ status: "cancelled" });
    const steps = runtime.events.replay(id).filter(({ event }) => event.kind === "progress").length;
    expect(steps).toBeLessThan(30);
  });

  it("reaches a running job from another process on the same file", async () => {
    const id = await runtime.submit("noop", { steps: 1000, step_ms: 20 });
    await untilEvent(runtime, id, (event) => event.kind === "progress");
    const other = await openEmbedded(runtime.config);
    await other.source.cancel(id);
    await other.close();
    expect(await runtime.ended(id)).toMatchObject({ status: "cancelled" });
  });
});

it("gives running jobs back uncharged at a shutdown, and another container finishes them", async () => {
  const first = await startTestRuntime({ SHUTDOWN_GRACE_SECONDS: "0.1" });
  const id = await first.submit("noop", { steps: 20, step_ms: 30 });
  await untilEvent(first, id, (event) => event.kind === "progress");
  await first.stop();
  const second = await startTestRuntime({ DATA_DIR: first.folder });
  expect(await second.ended(id)).toMatchObject({
    status: "completed",
    attempt: 1,
    attempts: [{ outcome: "released" }, { outcome: "completed" }],
  });
  await second.stop();
  await second.remove();
});

/** The job is still there, untouched, when one that came after it has been done. */
async function expectLeftWaiting(one: TestRuntime, id: string, type: string): Promise<void> {
  expect(await one.ended(await one.submit("noop"))).toMatchObject({ status: "completed" });
  const waiting = { status: "queued", attempt: 0, attempts: [], waitingFor: { type, model: null } };
  expect(await one.queue.get(id)).toMatchObject(waiting);
}
