import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { startCli, temporaryFolder } from "#cli/testing/run-cli.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { OtlpTracing } from "#runtime/observe/tracing/otlp-tracing.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./support/otlp-receiver.ts";
import { startTestRuntime, type TestRuntime, testHandlers } from "./support/runtime.ts";

/* A job's trace, from the metadata that it comes with to a collector, with the official packages in between. */
const traceId = "0af7651916cd43dd8448eb211c80319c";
const callerSpan = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${callerSpan}-01`;

let receiver: OtlpReceiver;
let runtimes: TestRuntime[];

beforeEach(async () => {
  receiver = await startOtlpReceiver();
  runtimes = [];
});

afterEach(async () => {
  for (const runtime of runtimes) await runtime.remove();
  await receiver.close();
});

async function start(env: Record<string, string> = {}): Promise<TestRuntime> {
  const runtime = await startTestRuntime({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env });
  runtimes.push(runtime);
  return runtime;
}

/** The spans of a container that has run these jobs and stopped: what is left is sent at the stop. */
async function spansOf(runtime: TestRuntime): Promise<ReceivedSpan[]> {
  await runtime.stop();
  expect(receiver.refused).toEqual([]);
  return receiver.spans;
}

/** `parent > child` of every span. */
function tree(spans: readonly ReceivedSpan[]): string[] {
  const nameOf = (id: string | undefined) =>
    id === undefined ? "none" : id === callerSpan ? "caller" : spans.find(({ spanId }) => spanId === id)?.name;
  return spans.map(({ name, parentSpanId }) => `${nameOf(parentSpanId)} > ${name}`).toSorted();
}

async function finalCallback(runtime: TestRuntime, jobId: string): Promise<unknown> {
  const embedded = await openEmbedded(runtime.config);
  const body = embedded.callbacks.of(jobId).at(-1)?.body;
  await embedded.close();
  return body;
}

describe("with a collector", () => {
  it("a job's spans join the trace that it came with, and the callback names it", async () => {
    const runtime = await start({ OTEL_SERVICE_NAME: "gpu-workers" });
    const record = await runtime.ended(await runtime.submit("noop", {}, { metadata: { traceparent } }));
    expect(record.status).toBe("completed");
    const spans = await spansOf(runtime);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
    expect(tree(spans)).toEqual([
      "caller > job noop",
      "job noop > callback",
      "job noop > run",
      "job noop > take",
      "job noop > upload",
    ]);
    const job = spans.find(({ name }) => name === "job noop");
    expect(job).toMatchObject({
      kind: 5,
      attributes: { "job.id": record.job.id, "job.type": "noop", "job.attempt": "1", "job.outcome": "completed" },
      resource: { "service.name": "gpu-workers", "service.instance.id": "test-worker" },
      error: undefined,
    });
    for (const { startMs, endMs } of spans) expect(endMs).toBeGreaterThanOrEqual(startMs);
    expect(await finalCallback(runtime, record.job.id)).toMatchObject({
      metadata: { traceparent: `00-${traceId}-${job?.spanId}-01` },
    });
  });

  it("the stages that a handler tells of are spans of the run", async () => {
    const runtime = await start({ HANDLERS_DIR: fileURLToPath(new URL("../handlers", import.meta.url)) });
    const config = { width: 64, height: 64, num_inference_steps: 2, num_images: 1 };
    await runtime.ended(await runtime.submit("sdxl_image_fast", config, { metadata: { traceparent } }));
    const spans = await spansOf(runtime);
    const run = spans.find(({ name }) => name === "run");
    const stages = spans
      .filter(({ parentSpanId }) => parentSpanId === run?.spanId)
      .toSorted((a, b) => a.startMs - b.startMs);
    expect(stages.map(({ name }) => name)).toEqual(["load", "encode", "prepare", "denoise", "decode", "save"]);
    expect(stages[0]?.attributes).toEqual({ model: "tiny-sdxl" });
    // By two processes' clocks of one machine, to the millisecond.
    expect(stages[0]?.startMs).toBeGreaterThanOrEqual((run?.startMs ?? 0) - 1);
    expect(stages.at(-1)?.endMs).toBeLessThanOrEqual((run?.endMs ?? 0) + 1);
  });

  it("every attempt has its spans, errors are on them, and children stay the same children", async () => {
    const runtime = await start();
    const failed = await runtime.ended(
      await runtime.submit("noop", { failure: "permanent", fail_until_attempt: 9 }, { metadata: { traceparent } }),
    );
    // Its first attempt fails after it enqueued its child; the second enqueues it once more.
    const parent = await runtime.ended(await runtime.submit("parent", {}, { metadata: { traceparent } }));
    expect([failed.status, parent.status, parent.attempt]).toEqual(["failed", "completed", 2]);
    const child = await runtime.ended(String(parent.result?.metadata.child));
    expect(child.job.metadata).toEqual({ parent_job_id: parent.job.id, traceparent });
    const spans = await spansOf(runtime);
    const jobs = spans.filter(({ name }) => name === "job parent");
    expect(jobs.map(({ attributes }) => [attributes["job.attempt"], attributes["job.outcome"]])).toEqual([
      ["1", "retried"],
      ["2", "completed"],
    ]);
    expect(spans.find(({ attributes }) => attributes["job.id"] === failed.job.id)).toMatchObject({
      error: "the handler can never do this",
      attributes: { "error.type": "HANDLER_FAILED", "job.outcome": "failed" },
    });
  });

  it("what one process left in the outbox, another one delivers under the same span", async () => {
    const first = await start();
    // The file cannot be stored: a file stands where its folder should be.
    const obstacle = join(first.folder, "files", "noop");
    await writeFile(obstacle, "");
    await first.submit("noop", {}, { metadata: { traceparent } });
    // Tries follow each other; any of them will do.
    const tries = () => receiver.spans.filter(({ name }) => name === "upload").length;
    await expect.poll(tries, { timeout: 20_000 }).toBeGreaterThan(0);
    const [refused] = (await spansOf(first)).filter(({ name }) => name === "upload");
    expect(refused?.error).not.toBeUndefined();
    await rm(obstacle);
    const second = await start({ DATA_DIR: first.folder });
    await expect.poll(() => second.delivery.pending, { timeout: 20_000 }).toBe(0);
    const spans = await spansOf(second);
    expect(tree(spans)).toEqual(expect.arrayContaining(["job noop > upload", "job noop > callback"]));
    expect(spans.filter(({ name, error }) => name === "upload" && error === undefined)).toHaveLength(1);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
  });

  it.each([
    ["no trace", {}],
    ["what is none", { traceparent: "00-not-a-trace-01" }],
  ])("a job with %s begins one", async (_what, metadata) => {
    const runtime = await start();
    await runtime.ended(await runtime.submit("noop", {}, { metadata }));
    const spans = await spansOf(runtime);
    expect(tree(spans)).toContain("none > job noop");
    expect(new Set(spans.map((span) => span.traceId)).size).toBe(1);
  });

  it("a trace that is not sampled stays so", async () => {
    const runtime = await start();
    const record = await runtime.ended(
      await runtime.submit("noop", {}, { metadata: { traceparent: `00-${traceId}-${callerSpan}-00` } }),
    );
    expect(await spansOf(runtime)).toEqual([]);
    expect(await finalCallback(runtime, record.job.id)).toMatchObject({
      metadata: { traceparent: expect.stringMatching(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`)) },
    });
  });

  it("that refuses spans is told of once in the log, however many there are", async () => {
    const lines: string[] = [];
    const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
    const endpoint = `${receiver.url}/nobody-takes-spans-here/`;
    const tracing = new OtlpTracing({ endpoint, serviceName: "test", workerId: "test", log });
    for (let index = 0; index < 600; index++) tracing.start("job", { parent: undefined }).end();
    await tracing.stop(20_000);
    expect(receiver.refused.length).toBeGreaterThan(1);
    expect(lines.filter((line) => line.includes("spans cannot be sent"))).toHaveLength(1);
  });

  it("that is away holds up the stop no longer than its limit", async () => {
    await receiver.close();
    const log = pino({ level: "silent" });
    const tracing = new OtlpTracing({ endpoint: receiver.url, serviceName: "test", workerId: "test", log });
    tracing.start("job", { parent: undefined }).end();
    const startedAt = performance.now();
    await tracing.stop(500);
    // The exporter's own tries would go on for ten seconds.
    expect(performance.now() - startedAt).toBeLessThan(5000);
    receiver = await startOtlpReceiver();
  });
});

describe("without one", () => {
  const restless = { OTEL_EXPORTER_OTLP_ENDPOINT: "" };

  it("a job's trace is passed on: to the callback and its children", async () => {
    const runtime = await start(restless);
    const parent = await runtime.ended(await runtime.submit("parent", {}, { metadata: { traceparent } }));
    const child = await runtime.ended(String(parent.result?.metadata.child));
    expect(child.job.metadata).toMatchObject({ traceparent });
    expect(await finalCallback(runtime, child.job.id)).toMatchObject({ metadata: { traceparent } });
    await runtime.stop();
    expect(receiver.spans).toEqual([]);
  });

  it("every line that is logged of a job, in both processes, names its trace", async () => {
    const env = { HANDLERS_DIR: testHandlers, LOG_FORMAT: "json", PORT: "0" };
    const container = startCli(await temporaryFolder(), ["start"], env);
    const address = Promise.withResolvers<string>();
    container.child.stdout?.on("data", (text: string) => address.resolve(text.replace("listening on ", "").trim()));
    await fetch(`${await address.promise}/jobs`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ type: "noop", config: { fail_until_attempt: 1 }, metadata: { traceparent } }),
    });
    await container.seen("job delivered and settled");
    container.child.kill("SIGTERM");
    const { stderr } = await container.ended;
    const line = z.object({ job_id: z.string().optional(), trace_id: z.string().optional(), msg: z.string() });
    const lines = stderr.split("\n").flatMap((text) => (text.startsWith("{") ? [line.parse(JSON.parse(text))] : []));
    const ofJob = lines.filter((one) => one.job_id !== undefined);
    expect(ofJob.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(["job started", "the handler failed", "job will be retried", "job delivered and settled"]),
    );
    expect(ofJob.filter(({ trace_id }) => trace_id !== traceId)).toEqual([]);
  });

  it("what is no trace context goes nowhere", async () => {
    const runtime = await start(restless);
    const id = await runtime.submit("noop", {}, { metadata: { traceparent: "00-nothing" } });
    await runtime.ended(id);
    expect(await finalCallback(runtime, id)).not.toHaveProperty("metadata.traceparent");
    await runtime.stop();
  });
});
