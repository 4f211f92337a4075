import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { startContainer, testKey } from "../testing/container.ts";
import { startEmulator } from "./emulator.ts";
import { player } from "./testing/emulator.ts";
import { openHome } from "./testing/home.ts";

/* A status and the webhook of the same end say the same, at a container's own endpoint and at an emulated one. */
const body = z.looseObject({ id: z.string(), status: z.string() });

async function startReceiver() {
  const arrived = new Map<string, z.output<typeof body>>();
  const server = createServer(async (request, response) => {
    const taken = body.parse(await json(request));
    arrived.set(taken.id, taken);
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { arrived, host: `127.0.0.1:${typeof address === "object" ? address?.port : ""}` };
}

/** Times by their kind: a record and an attempt measure them with clocks of their own. */
function comparable({ input, webhook, ...fields }: Readonly<Record<string, unknown>>) {
  const kindOf = (value: unknown) => (Number.isInteger(value) ? "whole" : value);
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, /Time$/.test(name) ? kindOf(value) : value]),
  );
}

const ran = { delayTime: "whole", executionTime: "whole" };

it("at a container", async () => {
  const { arrived, host } = await startReceiver();
  const container = await startContainer({ WAN_WORKER_API_KEY: testKey, WEBHOOK_HOSTS_ALLOWED: host });
  onTestFinished(() => container.stop());
  const headers = { authorization: testKey };
  const call = async (method: string, operation: string, sent?: object) =>
    body.parse((await container.call(method, `/v2/gated/${operation}`, { headers, ...(sent && { body: sent }) })).json);
  const run = async (input: object) =>
    (await call("POST", "run", { input: { prompt: "a lake", ...input }, webhook: `http://${host}/` })).id;
  const gate = `${container.runtime.folder}/gate`;

  const running = await run({ gate });
  await expect.poll(() => call("GET", `status/${running}`)).toMatchObject({ status: "IN_PROGRESS", output: {} });
  const waiting = await run({});
  await call("POST", `cancel/${waiting}`, {});
  await call("POST", `cancel/${running}`, {});
  // Cancelled for its client, whether or not its container has stopped.
  expect(await call("GET", `status/${running}`)).not.toHaveProperty("output");
  await writeFile(gate, "");
  const completed = await run({});
  const failed = await run({ fail: "the lake is dry" });
  const late = await run({ gate: `${gate}-of-nobody`, timeout_seconds: 0.2 });

  const by = { workerId: "test-worker", ...ran };
  const ends: [string, Readonly<Record<string, unknown>>][] = [
    [completed, { status: "COMPLETED", ...by }],
    [failed, { status: "FAILED", ...by, error: expect.stringContaining("the lake is dry") }],
    [late, { status: "TIMED_OUT", ...by, error: expect.stringContaining("TIMED_OUT") }],
    [running, { status: "CANCELLED", ...by }],
    [waiting, { status: "CANCELLED" }],
  ];
  for (const [id, end] of ends) {
    await expect.poll(() => arrived.get(id)).toBeDefined();
    const told = comparable(arrived.get(id) ?? {});
    // Files have other addresses for whoever has reached this container.
    const output = end.status === "COMPLETED" ? { output: expect.objectContaining({ text: "01234" }) } : {};
    expect(told).toEqual({ id, ...end, ...output });
    await expect.poll(async () => comparable(await call("GET", `status/${id}`))).toEqual({ ...told, ...output });
  }
});

it("at an emulated endpoint", async () => {
  const { arrived, host } = await startReceiver();
  const harness = await openHarness({ durable: false });
  const home = await openHome();
  const queue = new JobQueues(new Map([["sqlite", harness.queue]]));
  const log = await createLogger({ level: "silent", format: "json" });
  const own = { ...home, source: harness.source, queue, log, nowMs: harness.nowMs };
  const emulator = await startEmulator({ ...own, apiKeys: [testKey], host: "127.0.0.1", port: 0 });
  onTestFinished(async () => {
    await emulator.close();
    await home.close();
    await harness.close();
  });
  const headers = { authorization: testKey };
  const call = async (operation: string, sent?: object) => {
    const post = sent === undefined ? {} : { method: "POST", body: JSON.stringify(sent) };
    return body.parse(await (await fetch(`${emulator.url}/lakes/${operation}`, { headers, ...post })).json());
  };
  const webhook = `http://${host}/`;
  const submit = async () => (await call("run", { input: {}, webhook })).id;
  const worker = player(emulator.url, "lakes", "pod-1");

  const ids = [await submit(), await submit(), await submit(), await submit()] as const;
  const [completed, failed, both, running] = ids;
  await worker.take(4);
  await worker.done(completed, { output: { lake: "quiet" } });
  await worker.done(failed, { error: "the lake is dry" });
  await worker.done(both, { error: "the lake is dry", output: { seen: 3 } });
  await worker.done(running, { status: "IN_PROGRESS", output: 0.5 });
  await call(`cancel/${running}`, {});
  const waiting = await submit();
  await call(`cancel/${waiting}`, {});
  // Shorter than what RunPod lets a client say.
  const limits = { executionTimeoutMs: 100, ttlMs: 86_400_000 };
  const runpod = { endpoint: "lakes", input: {}, rest: {}, webhook, idForm: "own", ...limits };
  const late = jobEnvelope.parse({ id: "late-lake", type: emulatedType, metadata: { runpod } });
  await harness.queue.enqueue(late, { worker: "runpod_lakes" });
  await worker.take();

  const by = { workerId: "pod-1", ...ran };
  const ends: [string, Readonly<Record<string, unknown>>][] = [
    [completed, { status: "COMPLETED", ...by, output: { lake: "quiet" } }],
    [failed, { status: "FAILED", ...by, error: "the lake is dry" }],
    [both, { status: "FAILED", ...by, error: "the lake is dry", output: { seen: 3 } }],
    [running, { status: "CANCELLED", ...by }],
    [waiting, { status: "CANCELLED" }],
    [late.id, { status: "TIMED_OUT", ...by, error: expect.stringContaining("executionTimeout") }],
  ];
  for (const [id, end] of ends) {
    await expect.poll(() => arrived.get(id)).toBeDefined();
    expect(comparable(arrived.get(id) ?? {})).toEqual({ id, ...end });
    expect(comparable(await call(`status/${id}`))).toEqual(comparable(arrived.get(id) ?? {}));
  }
});
