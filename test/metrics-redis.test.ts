import { afterEach, beforeEach, expect, it } from "vitest";
import { jobTypes } from "#contract/job-types.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";
import { parsePrometheus, valuesOf } from "./support/prometheus.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* The metrics of a container whose queue is Redis: what they cost there, and what they say when it is away. */
let gateway: TestGateway;
let runtime: TestRuntime;

beforeEach(async () => {
  gateway = await startTestGateway();
  const env = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
  runtime = await startTestRuntime(env);
});

afterEach(async () => {
  await runtime.stop();
  await runtime.remove();
  await gateway.close();
});

const scrape = async () => parsePrometheus(await runtime.metricsRegistry.text());

it("costs 4 commands and 2 for each queue, once in a while, however often somebody scrapes", async () => {
  const stats = () => runtime.sources.get("upstash")?.paid?.usage().commandsByOperation.stats ?? 0;
  const families = await scrape();
  const workers = new Set([...Object.values(jobTypes).map(({ worker }) => worker), ...runtime.registry.workers]);
  const cost = stats();
  // One more for the first use of the script, which the server did not know.
  expect(cost).toBe(4 + 2 * workers.size + 1);
  for (let again = 0; again < 20; again++) await scrape();
  expect(stats()).toBe(cost);
  expect(valuesOf(families, "ourvidz_queue_readable", "source")).toEqual({ upstash: 1 });
  const commands = async () => valuesOf(await scrape(), "ourvidz_upstash_commands_total", "operation");
  await expect.poll(commands, { timeout: 10_000 }).toMatchObject({ take: expect.any(Number), stats: cost });
});

it("counts elements in which there is no job", async () => {
  await gateway.client().lpush("test_queue", "no job at all", "[]");
  await gateway.client().publish("ourvidz:events", "jobs");
  const undecodable = async () => valuesOf(await scrape(), "ourvidz_undecodable_elements_total", "source").upstash;
  await expect.poll(undecodable, { timeout: 30_000 }).toBe(2);
});

it("are there in bounded time when the queue is not, and say so", async () => {
  await gateway.redis.kill();
  const startedAt = performance.now();
  const families = await scrape();
  // The reading of the queue may take two seconds; the queue's own client would go on trying for longer.
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(valuesOf(families, "ourvidz_queue_readable", "source")).toEqual({ upstash: 0 });
  expect(valuesOf(families, "ourvidz_queue_jobs", "queue", "state")).toEqual({});
  await runtime.submit("noop").catch(() => undefined);
  runtime.dispatcher.pause();
  runtime.dispatcher.resume();
  const reachable = async () => valuesOf(await scrape(), "ourvidz_sources_reachable")[""];
  await expect.poll(reachable, { timeout: 60_000 }).toBe(0);
  const errors = valuesOf(await scrape(), "ourvidz_port_errors_total", "port", "code");
  expect(errors["source,QUEUE_UNREACHABLE"]).toBeGreaterThan(0);
  await gateway.redis.restart();
});
