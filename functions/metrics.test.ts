import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { type Family, parsePrometheus, valuesOf } from "#test/support/prometheus.ts";
import { testHandlers, untilEvent } from "#test/support/runtime.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

async function scrape(container: TestContainer): Promise<ReadonlyMap<string, Family>> {
  return parsePrometheus((await container.call("GET", "/metrics")).text);
}

/** Jobs by type and outcome, without those of which there was none. */
function counted(families: ReadonlyMap<string, Family>): Record<string, number> {
  const jobs = Object.entries(valuesOf(families, "ourvidz_jobs_total", "type", "outcome"));
  return Object.fromEntries(jobs.filter(([, count]) => count > 0));
}

describe("what a container did", () => {
  let container: TestContainer;
  beforeAll(async () => {
    container = await startContainer({ HANDLERS_DIR: testHandlers });
  });
  afterAll(() => container.stop());

  const run = async (type: string, config: Record<string, unknown> = {}) =>
    container.runtime.ended(await container.runtime.submit(type, config));

  it("has failures of every type at 0, as an alert on an increase does not see the first of a new counter", async () => {
    const jobs = valuesOf(await scrape(container), "ourvidz_jobs_total", "type", "outcome");
    expect(jobs).toMatchObject({ "noop,failed": 0, "stubborn,failed": 0 });
  });

  it("is counted exactly, by type and outcome", async () => {
    const { runtime } = container;
    await run("noop", { steps: 2 });
    await run("noop", { failure: "error", fail_until_attempt: 1 });
    await run("noop", { failure: "permanent", fail_until_attempt: 1 });
    await run("noop", { failure: "kill", fail_until_attempt: 1 });
    await run("stubborn", { blocks: false });
    for (const type of ["invented_by_somebody", "invented_again"]) {
      const id = await runtime.submit(type);
      await runtime.queue.cancel(id);
      await runtime.ended(id);
    }
    const cancelled = await runtime.submit("noop", { steps: 1000, step_ms: 20 });
    await untilEvent(runtime, cancelled, (event) => event.kind === "progress");
    await runtime.queue.cancel(cancelled);
    await runtime.ended(cancelled);

    const families = await scrape(container);
    expect(counted(families)).toEqual({
      "noop,completed": 3,
      "noop,failed": 1,
      "noop,cancelled": 1,
      "stubborn,failed": 1,
      // Whatever somebody invents is one type.
      "unknown,cancelled": 2,
    });
    const attempts = {
      "noop,completed": 3,
      "noop,retried": 2,
      "noop,failed": 1,
      "noop,cancelled": 1,
      "stubborn,failed": 1,
    };
    expect(valuesOf(families, "ourvidz_job_attempts_total", "type", "outcome")).toEqual(attempts);
    expect(valuesOf(families, "ourvidz_job_run_seconds_count", "type", "outcome")).toEqual(attempts);
    expect(valuesOf(families, "ourvidz_job_queue_wait_seconds_count", "type")).toEqual({ noop: 7, stubborn: 1 });
    expect(valuesOf(families, "ourvidz_upload_seconds_count", "store", "outcome")).toEqual({ "local,stored": 3 });
    expect(valuesOf(families, "ourvidz_callback_seconds_count", "status", "outcome")).toMatchObject({
      "completed,taken": 3,
      "failed,taken": 2,
      "cancelled,taken": 3,
    });
    expect(valuesOf(families, "ourvidz_executor_restarts_total", "worker")).toEqual({ test: 1, other: 0 });
    expect(valuesOf(families, "ourvidz_queue_jobs", "queue", "state")).toMatchObject({ "test_queue,failed": 2 });
    expect(valuesOf(families, "ourvidz_outbox_rows")).toEqual({ "": 0 });
    expect(valuesOf(families, "ourvidz_leases_lost_total", "source")).toEqual({ sqlite: 0 });
    expect(valuesOf(families, "ourvidz_build_info", "worker_id")).toEqual({ "test-worker": 1 });
  });

  it("shows what runs and how much memory its process has", async () => {
    const id = await container.runtime.submit("noop", { steps: 1000, step_ms: 20 });
    await untilEvent(container.runtime, id, (event) => event.kind === "progress");
    const families = await scrape(container);
    expect(valuesOf(families, "ourvidz_executor_state", "worker", "state")).toMatchObject({
      "test,busy": 1,
      "test,idle": 0,
    });
    expect(valuesOf(families, "ourvidz_active_jobs")).toEqual({ "": 1 });
    expect(valuesOf(families, "ourvidz_executor_resident_memory_bytes", "worker").test).toBeGreaterThan(10_000_000);
    await container.runtime.queue.cancel(id);
    await container.runtime.ended(id);
  });

  it("counts requests by the pattern of their route, whatever the path", async () => {
    for (const path of ["/jobs/a", "/jobs/b", "/jobs/c/events", "/nothing/at/all", "/wp-login.php"]) {
      await container.call("GET", path);
    }
    await container.call("PUT", "/jobs/a");
    await container.call("INVENTED", "/jobs/a");
    const counts = valuesOf(await scrape(container), "ourvidz_http_requests_total", "method", "route", "status");
    expect(counts).toMatchObject({
      "GET,/jobs/:id,404": 2,
      "GET,/jobs/:id/events,404": 1,
      "GET,none,404": 2,
      "PUT,/jobs/:id,405": 1,
      "other,/jobs/:id,405": 1,
    });
    expect(Object.keys(counts).filter((series) => !/^(GET|PUT|other),(none|\/[a-z:/]+),\d{3}$/.test(series))).toEqual(
      [],
    );
  });

  it("is served in Prometheus' own content type, also to many at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => container.call("GET", "/metrics")));
    for (const { status, headers, text } of answers) {
      expect([status, headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
      expect(() => parsePrometheus(text)).not.toThrow();
    }
  });
});

it("counts a lease that another container took over, and no end of that job", async () => {
  const container = await startContainer({ HANDLERS_DIR: testHandlers, LEASE_SECONDS: "3" });
  onTestFinished(() => container.stop());
  const id = await container.runtime.submit("noop", { steps: 1000, step_ms: 20 });
  await untilEvent(container.runtime, id, (event) => event.kind === "progress");
  const other = await openEmbedded(container.runtime.config);
  // By its clock the lease ran out long ago.
  const ahead = () => Date.now() + 3_600_000;
  const source = new SqliteSource(other.database, { workerId: "other", leaseSeconds: 30, nowMs: ahead });
  const {
    leases: [lease],
  } = await source.take([{ worker: "test", slots: 1 }]);
  expect(lease?.jobId).toBe(id);
  const lost = async () => valuesOf(await scrape(container), "ourvidz_leases_lost_total", "source");
  await expect.poll(lost, { timeout: 20_000 }).toEqual({ sqlite: 1 });
  const families = await scrape(container);
  expect(valuesOf(families, "ourvidz_job_attempts_total", "type", "outcome")).toMatchObject({ "noop,lost": 1 });
  expect(counted(families)).toEqual({});
  if (lease !== undefined) await source.cancelled(lease);
  await source.close();
  await other.close();
});
