import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/*
 * What an endpoint keeps of a request with its job, in `metadata.runpod`, has containers call the client's webhook. So it is an
 * endpoint's alone to write, and goes on to no other job.
 */
let gateway: TestGateway;
let container: TestContainer;
let webhook: string;
let arrived: { readonly id: string; readonly status: string }[];
const notice = z.object({ id: z.string(), status: z.string() });
const receiver = createServer(async (request, response) => {
  arrived.push(notice.parse(await json(request)));
  response.end();
});

beforeAll(async () => {
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const address = receiver.address();
  const host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  webhook = `http://${host}/ended`;
  gateway = await startTestGateway();
  container = await startContainer({
    HANDLERS_DIR: fileURLToPath(new URL("./support/door-handlers", import.meta.url)),
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    WEBHOOK_HOSTS_ALLOWED: host,
  });
}, 60_000);
beforeEach(() => {
  arrived = [];
});
afterAll(async () => {
  await container.stop();
  await gateway.close();
  receiver.closeAllConnections();
  receiver.close();
});

const written = () => ({
  runpod: { endpoint: "lakes", input: {}, rest: {}, webhook, executionTimeoutMs: 60_000, ttlMs: 600_000 },
});
/** Enqueues a child, which fails. */
const lake = (more: object = {}) => ({
  type: "beside",
  config: { job: { type: "inside", config: { job: {} }, ...more } },
});
const queue = () => container.runtime.queue;
const ended = (id: string, status: string) =>
  expect.poll(async () => (await queue().get(id))?.status, { timeout: 15_000 }).toBe(status);

async function submitted(path: string, body: object): Promise<string> {
  const { status, json: answer } = await container.call("POST", path, { body });
  expect([path, status, answer]).toMatchObject([path, status === 202 ? 202 : 200, {}]);
  const { id, job_id } = z.object({ id: z.string().optional(), job_id: z.string().optional() }).parse(answer);
  return job_id ?? id ?? "";
}

/** Of a request at an endpoint, whose notice comes after those of the jobs that ended before it. */
async function notifiedOfRequest(): Promise<void> {
  const id = await submitted("/v2/beside/run", { input: lake(), webhook });
  await expect.poll(() => arrived.map((each) => each.id), { timeout: 15_000 }).toContain(id);
}

test("a producer's job that has it fails, and nobody is called", async () => {
  const [wrong, overdue] = [randomUUID(), randomUUID()];
  const push = async (id: string, more: object = {}) => {
    const element = JSON.stringify({ id, ...lake(), metadata: written(), ...more });
    await gateway.client().lpush("sdxl_queue", element);
    await gateway.client().publish("ourvidz:events", "jobs");
  };
  await push(wrong);
  await ended(wrong, "failed");
  const message = expect.stringContaining("metadata.runpod is");
  expect(await queue().get(wrong)).toMatchObject({ attempt: 1, error: { code: "INVALID_JOB", message } });
  // The end of one that never ran is reported too.
  await push(overdue, { config: { expires_at: "2026-01-01T00:00:00Z" } });
  await notifiedOfRequest();
  await ended(overdue, "failed");
  await notifiedOfRequest();
  expect(arrived.map(({ status }) => status)).toEqual(["COMPLETED", "COMPLETED"]);
});

test("a job of an endpoint that was queued before, by whichever version, is run, and its client notified", async () => {
  const id = randomUUID();
  await queue().enqueue(jobEnvelope.parse({ id, ...lake(), metadata: written() }), { worker: "sdxl" });
  await expect.poll(() => arrived, { timeout: 15_000 }).toEqual([{ id, status: "COMPLETED" }]);
});

test("a job that a handler makes has not that of its own", async () => {
  const request = await submitted("/v2/beside/run", {
    input: lake({ metadata: { album: "summer", ...written() } }),
    webhook,
  });
  const parent = request.replace(/-u1$/, "");
  const child = async () =>
    (await queue().list({ limit: 100 })).jobs.find(({ job }) => job.metadata.parent_job_id === parent);
  await expect.poll(async () => (await child())?.status, { timeout: 15_000 }).toBe("failed");
  expect((await child())?.job.metadata).toEqual({ album: "summer", parent_job_id: parent });
  await notifiedOfRequest();
  expect(arrived.map(({ status }) => status)).toEqual(["COMPLETED", "COMPLETED"]);
});

test("a copy of a job has not that of the first", async () => {
  const request = await submitted("/v2/beside/run", { input: { ...lake(), metadata: { album: "summer" } }, webhook });
  const view = z.looseObject({ type: z.string(), config: z.unknown(), metadata: z.unknown() });
  const first = view.parse((await container.call("GET", `/jobs/${request.replace(/-u1$/, "")}`)).json);
  expect(first.metadata).toEqual({ album: "summer" });
  const { type, config, metadata } = first;
  await ended(await submitted("/jobs", { type, config, metadata }), "completed");
  await notifiedOfRequest();
  expect(arrived).toHaveLength(2);
});

test("an endpoint refuses an input that has it", async () => {
  const body = { input: { ...lake(), metadata: written() } };
  const { status, json: answer } = await container.call("POST", "/v2/beside/run", { body });
  expect([status, answer]).toEqual([
    400,
    { error: expect.stringMatching(/metadata\.runpod is .*: must be left out: /) },
  ]);
});
