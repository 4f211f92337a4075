import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestEmulator, type TestEmulator, testKey } from "./testing/emulator.ts";

const headers = { authorization: `Bearer ${testKey}`, "content-type": "application/json" };

async function call({ url }: TestEmulator, method: string, path: string, body?: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body: text }) });
  return { status: answer.status, json: JSON.parse((await answer.text()) || "null") };
}

async function submit(emulator: TestEmulator, body: object = {}): Promise<string> {
  const { status, json } = await call(emulator, "POST", "/lakes/run", { input: { prompt: "a lake" }, ...body });
  expect(status).toBe(200);
  return json.id;
}

/** Moves the clock in steps until the job is in this state. */
async function untilStatus(emulator: TestEmulator, id: string, status: string, stepMs: number) {
  await expect
    .poll(async () => {
      await emulator.advance(stepMs);
      return (await call(emulator, "GET", `/lakes/status/${id}`)).json.status;
    })
    .toBe(status);
}

it.each([
  [{}, 400, "input is missing: must be there"],
  [{ input: "a lake" }, 400, 'input is "a lake": must be there, and be an object'],
  [{ input: {}, policy: { executionTimeout: 10, ttl: 5 } }, 400, "executionTimeout"],
  [{ input: {}, webhook: "not an address" }, 400, 'webhook is "not an address": must be an http(s) address'],
  ["{", 400, "not valid JSON"],
  [{ input: { text: "m".repeat(2 * 1024 * 1024) } }, 413, "The job has 2,097,"],
  [
    { input: { text: "m".repeat(11 * 1024 * 1024) } },
    413,
    "10,485,760 bytes, which is the limit: upload files, and send their addresses.",
  ],
])("refuses a request that is wrong: %.40j", async (body, status, message) => {
  const answer = await call(await startTestEmulator(), "POST", "/lakes/run", body);
  expect(answer).toMatchObject({ status, json: { error: expect.stringContaining(message) } });
});

it.each(["abc", "", "-1", "1e3", "1.5"])("refuses a wait of %j, whatever is waited for", async (wait) => {
  const emulator = await startTestEmulator();
  const id = await submit(emulator);
  for (const path of ["/lakes/runsync", `/lakes/status-sync/${id}`, `/lakes/stream/${id}`]) {
    const answer = await call(emulator, "POST", `${path}?wait=${wait}`, { input: {} });
    expect(answer).toMatchObject({ status: 400, json: { error: expect.stringContaining(`wait is "${wait}"`) } });
  }
  expect((await call(emulator, "GET", "/lakes/requests")).json.requests).toHaveLength(1);
});

it("takes a wait that is too short or too long as the nearest that there is, and says so of others", async () => {
  const emulator = await startTestEmulator();
  const id = await submit(emulator);
  await emulator.worker("lakes").take();
  await emulator.worker("lakes").done(id, { output: 1 });
  for (const wait of ["1", "300001", "9".repeat(400)]) {
    expect(await call(emulator, "GET", `/lakes/status-sync/${id}?wait=${wait}`)).toMatchObject({ status: 200 });
  }
  expect((await call(emulator, "GET", `/lakes/status-sync/${id}?wait=soon`)).json.error).toBe(
    'wait is "soon": it must be a whole number of milliseconds. Fewer than 1000 count as 1000, more than 300000 as 300000.',
  );
});

it("says whose keys are asked for, and where OpenAI's API is", async () => {
  const emulator = await startTestEmulator();
  const refused = await fetch(`${emulator.url}/lakes/health`, { headers: { authorization: "Bearer another-key" } });
  expect([refused.status, await refused.json()]).toEqual([
    401,
    { error: "The key is not one that this emulator knows (WAN_WORKER_API_KEY)." },
  ]);
  expect(await call(emulator, "POST", "/lakes/openai/v1/chat/completions", {})).toMatchObject({
    status: 404,
    json: { error: expect.stringContaining("needs a container") },
  });
});

it("answers an operation that is called in another way with 405", async () => {
  const emulator = await startTestEmulator();
  for (const [method, path, allowed] of [
    ["GET", "/lakes/run", "POST"],
    ["PUT", "/lakes/status/a", "GET or POST"],
    ["POST", "/lakes/health", "GET"],
  ] as const) {
    const answer = await call(emulator, method, path, method === "GET" ? undefined : {});
    expect(answer).toMatchObject({
      status: 405,
      json: { error: expect.stringContaining(`is called with ${allowed}.`) },
    });
  }
});

it("answers what there is not with 404, also what is another endpoint's", async () => {
  const emulator = await startTestEmulator();
  const id = await submit(emulator);
  for (const path of ["/lakes/status/nothing", `/rivers/status/${id}`, `/lakes/cancelled/${id}`]) {
    expect(await call(emulator, "GET", path)).toMatchObject({ status: 404, json: { error: expect.any(String) } });
  }
  expect(await call(emulator, "GET", `/lakes/status/${id}`)).toMatchObject({ status: 200 });
  expect(await call(emulator, "POST", `/lakes/status/${id}`)).toMatchObject({ status: 200 });
});

it("lets a container name the job in the path, as a parameter or in a header, and takes each end once", async () => {
  const emulator = await startTestEmulator();
  const worker = emulator.worker("lakes");
  const ids = [await submit(emulator), await submit(emulator)];
  expect((await worker.take(5)).jobs.map(({ id }) => id)).toEqual(ids);
  const post = (path: string, more = {}) =>
    fetch(`${emulator.url}/lakes/${path}`, { method: "POST", headers: { ...headers, ...more }, body: '{"output":1}' });
  expect((await post(`job-done/pod-1?job_id=${ids[0]}`)).status).toBe(200);
  expect((await post("job-done/pod-1", { "x-request-id": ids[1] })).status).toBe(200);
  for (const id of ids) expect((await call(emulator, "GET", `/lakes/status/${id}`)).json.status).toBe("COMPLETED");
  expect(await worker.done(ids[0] ?? "", { error: "too late" })).toBe(200);
  expect(await worker.done(ids[0] ?? "", { status: "IN_PROGRESS", output: 0.5 })).toBe(200);
  expect((await call(emulator, "GET", `/lakes/status/${ids[0]}`)).json).toMatchObject({
    status: "COMPLETED",
    output: 1,
  });
  expect(await worker.done("nothing", { output: 1 })).toBe(404);
});

it("fails a job whose container posts more than is taken, with what to do, whatever that posts afterwards", async () => {
  const log = await createLogger({ level: "silent", format: "json" });
  const warned = vi.spyOn(log, "warn");
  const emulator = await startTestEmulator({ log });
  const [worker, other] = [emulator.worker("lakes"), emulator.worker("lakes", "pod-2")];
  const id = await submit(emulator);
  await worker.take();
  const tooLarge = { output: "m".repeat(10 * 1024 * 1024) };
  // Another one's matter it is not.
  expect(await other.done(id, tooLarge)).toBe(400);
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json.status).toBe("IN_PROGRESS");
  expect(await worker.done(id, tooLarge)).toBe(400);
  expect(await worker.done(id, { error: "RESULT_TOO_LARGE" })).toBe(200);
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json).toMatchObject({
    status: "FAILED",
    error:
      "The result was not taken. The body is larger than 10,485,760 bytes, which is the limit: upload files, and send their addresses.",
  });
  expect(warned.mock.calls).toMatchObject([[{ endpoint: "lakes", worker_id: "pod-1" }, expect.any(String)]]);
});

it("gives a job to nobody whose wait is over, and answers a container with 204 when there is none", async () => {
  const emulator = await startTestEmulator({ holdMs: 50 });
  expect(await emulator.worker("lakes").take()).toEqual({ status: 204, jobs: [] });
  expect(await emulator.worker("lakes").stops()).toEqual([]);
  const id = await submit(emulator);
  expect(await emulator.worker("rivers").take()).toEqual({ status: 204, jobs: [] });
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json.status).toBe("IN_QUEUE");
});

it("retries what has failed, with the same id and input", async () => {
  const emulator = await startTestEmulator();
  const worker = emulator.worker("lakes");
  const id = await submit(emulator);
  await worker.take();
  expect(await call(emulator, "POST", `/lakes/retry/${id}`)).toMatchObject({ status: 400 });
  await worker.done(id, { error: "the lake is dry" });
  expect(await call(emulator, "POST", `/lakes/retry/${id}`)).toEqual({ status: 200, json: { id, status: "IN_QUEUE" } });
  expect((await worker.take()).jobs).toEqual([{ id, input: { prompt: "a lake" } }]);
  await worker.done(id, { output: "found" });
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json).toMatchObject({
    status: "COMPLETED",
    output: "found",
  });
});

it("forgets a result when its time is over, sooner one that was waited for, and any job after its ttl", async () => {
  const emulator = await startTestEmulator();
  const worker = emulator.worker("lakes");
  const id = await submit(emulator);
  await worker.take();
  await worker.done(id, { output: 1 });
  await emulator.advance(30 * 60_000);
  expect(await call(emulator, "GET", `/lakes/status/${id}`)).toMatchObject({ status: 200 });
  await emulator.advance(1);
  expect(await call(emulator, "GET", `/lakes/status/${id}`)).toMatchObject({ status: 404 });
  const short = await submit(emulator, { policy: { ttl: 10_000 } });
  await emulator.advance(10_001);
  expect(await call(emulator, "GET", `/lakes/status/${short}`)).toMatchObject({ status: 404 });
  expect((await call(emulator, "GET", "/lakes/requests")).json).toEqual({ requests: [] });
});

it("gives a job to another container when nothing is heard of its own", async () => {
  const emulator = await startTestEmulator({ silentMs: 500 });
  const worker = emulator.worker("lakes");
  const id = await submit(emulator);
  await worker.take();
  const other = emulator.worker("lakes", "pod-2").take();
  await untilStatus(emulator, id, "IN_PROGRESS", 300);
  await emulator.advance(600);
  expect((await other).jobs).toMatchObject([{ id }]);
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json).toMatchObject({ workerId: "pod-2", retries: 1 });
});

it("notifies the webhook of the end alone, with the input, and again until it is taken", async () => {
  const bodies: unknown[] = [];
  const statuses = [500, 503, 200];
  const receiver = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      bodies.push(JSON.parse(text));
      response.writeHead(statuses[bodies.length - 1] ?? 200).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void receiver.close());
  const { port } = receiver.address() as AddressInfo;
  const webhook = `http://127.0.0.1:${port}/ended`;
  const emulator = await startTestEmulator();
  const worker = emulator.worker("lakes");
  const id = await submit(emulator, { webhook });
  expect((await worker.take()).jobs).toMatchObject([{ id, webhook }]);
  await worker.done(id, { status: "IN_PROGRESS", output: 0.5 });
  await worker.done(id, { output: "found" });
  await expect.poll(() => bodies.length).toBe(3);
  const body = { id, status: "COMPLETED", output: "found", input: { prompt: "a lake" }, webhook };
  expect(bodies).toEqual(Array.from({ length: 3 }, () => expect.objectContaining(body)));
});

it("answers too many calls with 429 and when to come again", async () => {
  const emulator = await startTestEmulator();
  for (let count = 0; count < 2; count++) await call(emulator, "POST", "/lakes/purge-queue", {});
  const answer = await fetch(`${emulator.url}/lakes/purge-queue`, { method: "POST", headers });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "10"]);
  expect(await call(emulator, "POST", "/rivers/purge-queue", {})).toMatchObject({ status: 200 });
});

it("listens off loopback with a key alone", async () => {
  await expect(startTestEmulator({ host: "0.0.0.0", apiKeys: [] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

it("answers a container that names its endpoint wrongly with 404, and no other one is the worse for it", async () => {
  const emulator = await startTestEmulator();
  const wrong = emulator.worker("my.lakes");
  expect((await wrong.take()).status).toBe(404);
  expect(await wrong.ping()).toBe(404);
  const id = await submit(emulator);
  expect((await emulator.worker("lakes").take()).jobs).toMatchObject([{ id }]);
});

it("serves an endpoint that is named like an operation", async () => {
  const emulator = await startTestEmulator();
  const { json } = await call(emulator, "POST", "/ping/run", { input: {} });
  const worker = emulator.worker("ping");
  expect((await worker.take()).jobs).toMatchObject([{ id: json.id }]);
  expect(await worker.ping(`?job_id=${json.id}`)).toBe(200);
  expect((await call(emulator, "GET", "/ping/health")).json.workers).toMatchObject({ running: 1 });
  expect(await worker.done(json.id, { output: 1 })).toBe(200);
});

it("takes nothing of a job from a container that has it no more, and tells it to stop", async () => {
  const emulator = await startTestEmulator({ silentMs: 500 });
  const id = await submit(emulator);
  const [frozen, next] = [emulator.worker("lakes", "pod-1"), emulator.worker("lakes", "pod-2")];
  await frozen.take();
  await frozen.ping(`?job_id=${id}`);
  await frozen.stream(id, "Once upon");
  await emulator.advance(501);
  expect((await next.take()).jobs).toMatchObject([{ id }]);
  expect(await frozen.ping(`?job_id=${id}`)).toBe(200);
  await frozen.stream(id, " a time");
  await next.stream(id, "Twice");
  expect((await call(emulator, "GET", `/lakes/stream/${id}`)).json.stream).toEqual([{ output: "Twice" }]);
  expect(await frozen.done(id, { status: "IN_PROGRESS", output: 0.9 })).toBe(404);
  expect(await frozen.done(id, { error: "SHUTTING_DOWN" })).toBe(404);
  // Once may be on its way; it names the job still.
  await frozen.ping(`?job_id=${id}`);
  expect(await frozen.stops()).toEqual([id]);
  expect(await next.done(id, { output: "found" })).toBe(200);
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json).toMatchObject({
    ...{ status: "COMPLETED", output: "found", workerId: "pod-2" },
  });
});

it("has a container stop a job that has ended, or that it has never known, and none that it has", async () => {
  const emulator = await startTestEmulator();
  const worker = emulator.worker("lakes");
  const [ended, held] = [await submit(emulator), await submit(emulator)];
  await worker.take(2);
  await worker.done(ended, { output: 1 });
  for (let pings = 0; pings < 2; pings++) await worker.ping(`?job_id=${ended},${held},unknown`);
  expect((await worker.stops()).toSorted()).toEqual([ended, "unknown"].toSorted());
});

it("knows a container by its pings whose take did not name it, as the official one's with the literal $RUNPOD_POD_ID", async () => {
  const emulator = await startTestEmulator({ silentMs: 500 });
  const id = await submit(emulator);
  expect((await emulator.worker("lakes", "$RUNPOD_POD_ID").take()).jobs).toMatchObject([{ id }]);
  const worker = emulator.worker("lakes", "pod-1");
  for (let pings = 0; pings < 4; pings++) {
    await emulator.advance(300);
    expect(await worker.ping(`?job_id=${id}`)).toBe(200);
  }
  const { workers } = (await call(emulator, "GET", "/lakes/health")).json;
  expect(workers).toMatchObject({ idle: 0, running: 1 });
  expect(await emulator.worker("lakes", "pod-2").done(id, { error: "not mine" })).toBe(404);
  expect(await worker.done(id, { output: "found" })).toBe(200);
  expect((await call(emulator, "GET", `/lakes/status/${id}`)).json).toMatchObject({ workerId: "pod-1" });
});

it("refuses what is nested too deeply, at once and for good", async () => {
  const emulator = await startTestEmulator();
  const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
  for (const levels of [40, 20_000]) {
    expect(await call(emulator, "POST", "/lakes/run", `{"input":${deep(levels)}}`)).toMatchObject({ status: 400 });
  }
  const id = await submit(emulator);
  const worker = emulator.worker("lakes");
  await worker.take();
  const post = (body: string) => call(emulator, "POST", `/lakes/job-done/pod-1/${id}?isStream=false`, body);
  expect(await post(`{"output":${deep(20_000)}}`)).toMatchObject({
    ...{ status: 400, json: { error: "The body is nested deeper than 200 levels, which is the limit." } },
  });
  expect(await post(`{"output":${deep(150)}}`)).toMatchObject({ status: 200 });
});

it("fails a job at once whose container posts what is no JSON, or no object", async () => {
  const emulator = await startTestEmulator();
  const worker = emulator.worker("lakes");
  for (const [body, why] of [
    ['{"output":{"score":NaN}}', "The body is not valid JSON."],
    ["[1]", "The body must be a JSON object."],
  ]) {
    const id = await submit(emulator);
    await worker.take();
    const answer = await call(emulator, "POST", `/lakes/job-done/pod-1/${id}?isStream=false`, body);
    expect(answer).toMatchObject({ status: 400, json: { error: why } });
    expect((await call(emulator, "GET", `/lakes/status/${id}`)).json).toMatchObject({
      ...{ status: "FAILED", error: `The result was not taken. ${why}` },
    });
  }
});
