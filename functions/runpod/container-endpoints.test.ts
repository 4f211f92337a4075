import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import runpodSdk from "runpod-sdk";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { z } from "zod";
import { startContainer, type TestContainer, testKey } from "../testing/container.ts";

/* RunPod's own client for JavaScript at a whole container, whose jobs are those of its queue. */
let container: TestContainer;
let base: string;
const notified: unknown[] = [];
const receiver = createServer(async (request, response) => {
  notified.push(await json(request));
  response.end();
});
let webhook: string;

beforeAll(async () => {
  // The client prints each round of its wait.
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const address = receiver.address();
  const host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  webhook = `http://${host}/ended`;
  container = await startContainer({
    WAN_WORKER_API_KEY: testKey,
    RUNPOD_ENDPOINT_TYPES: "lakes=gated",
    WEBHOOK_HOSTS_ALLOWED: host,
  });
  base = `${(await container.listen()).url}/v2`;
});
afterAll(async () => {
  await container.stop();
  receiver.closeAllConnections();
  receiver.close();
});

function endpointOf(name = "lakes") {
  const endpoint = runpodSdk(testKey, { baseUrl: base }).endpoint(name);
  if (endpoint === null) throw new Error("there is no endpoint");
  return endpoint;
}

const gate = () => `${container.runtime.folder}/gate-${crypto.randomUUID()}`;
const lake = { prompt: "a quiet lake" };
/** A minute: the client's own 3 s are too short on a busy machine. */
const limitMs = 60_000;
const post = (path: string, body: unknown, headers: Record<string, string> = { authorization: testKey }) =>
  fetch(`${base}/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
const outputOf = z.object({ output: z.object({ assets: z.array(z.object({ url: z.string() })) }) });

it("runs a job, and answers its progress and its result with addresses", async () => {
  const endpoint = endpointOf();
  const { id, open } = await container.submitGated();
  const first = await endpoint.run({ input: { ...lake, size: 12 } }, limitMs);
  expect(first).toMatchObject({ id: expect.stringMatching(/^[0-9a-f-]{36}-u1$/), status: "IN_QUEUE" });
  expect(await endpoint.status(first.id, limitMs)).toMatchObject({ status: "IN_QUEUE", completed: false });
  // A job of another route is none of an endpoint's.
  await expect(endpoint.status(id, limitMs)).rejects.toMatchObject({ response: { status: 404 } });
  await open();
  const ended = await endpoint.statusSync(first.id, limitMs);
  expect(ended).toMatchObject({
    status: "COMPLETED",
    workerId: "test-worker",
    output: { assets: [{ mime_type: "text/plain" }], text: "01234", metadata: { length: 12 } },
    succeeded: true,
  });
  const [asset] = outputOf.parse(ended).output.assets;
  expect(await (await fetch(asset?.url ?? "")).text()).toBe("012345678901");
});

it("waits for a job that is an envelope of ours, at an endpoint that is called as its type", async () => {
  const ended = await endpointOf("gated").runSync({ input: { ...lake, config: { size: 7 } } }, limitMs);
  expect(ended).toMatchObject({ id: expect.stringMatching(/^sync-/), status: "COMPLETED", succeeded: true });
  const named = await endpointOf("anything").runSync({ input: { ...lake, id: "own-lake", type: "gated" } }, limitMs);
  expect(named).toMatchObject({ id: "own-lake", status: "COMPLETED" });
  // Sent again, the request finds the job that it made.
  const again = await endpointOf("anything").runSync({ input: { ...lake, id: "own-lake", type: "gated" } }, limitMs);
  expect(again).toEqual(named);
});

it("shows the progress of what runs, cancels it, purges what waits and counts both", async () => {
  const endpoint = endpointOf();
  const running = await endpoint.run({ input: { ...lake, gate: gate() } }, limitMs);
  const status = () => endpoint.status(running.id, limitMs);
  await expect.poll(status).toMatchObject({ status: "IN_PROGRESS", output: { progress: 0.5, step: 1, total: 2 } });
  for (let count = 0; count < 2; count++) await endpoint.run({ input: lake }, limitMs);
  expect(await endpoint.health(limitMs)).toMatchObject({
    jobs: { inProgress: 1, inQueue: 2 },
    workers: { idle: 0, running: 1 },
  });
  expect(await endpointOf("gated").purgeQueue(limitMs)).toEqual({ removed: 0, status: "completed" });
  expect(await endpoint.purgeQueue(limitMs)).toEqual({ removed: 2, status: "completed" });
  expect(await endpoint.cancel(running.id, limitMs)).toMatchObject({ status: "CANCELLED" });
  expect(await endpoint.statusSync(running.id, limitMs)).toMatchObject({ status: "CANCELLED", completed: true });
  const ids = z.object({ requests: z.array(z.object({ id: z.string() })) });
  const { requests } = ids.parse(
    await (await fetch(`${base}/lakes/requests`, { headers: { authorization: testKey } })).json(),
  );
  expect(requests.map(({ id }) => id)).toContain(running.id);
});

it("reads a failure as a container of an endpoint posts it, and retries the job", async () => {
  const endpoint = endpointOf();
  const { id } = await endpoint.run({ input: { ...lake, fail: "the lake is dry" } }, limitMs);
  const failed = z
    .object({ status: z.literal("FAILED"), error: z.string() })
    .parse(await endpoint.statusSync(id, limitMs));
  expect(JSON.parse(failed.error)).toMatchObject({
    error_type: "HANDLER_FAILED",
    error_message: "the lake is dry",
    worker_id: "test-worker",
  });
  expect(await (await post(`lakes/retry/${id}`, {})).json()).toEqual({ id, status: "IN_QUEUE" });
  expect(await endpoint.statusSync(id, limitMs)).toMatchObject({ status: "FAILED" });
});

it("streams the text of a job", async () => {
  const endpoint = endpointOf();
  const { id } = await endpoint.run({ input: lake }, limitMs);
  const read: unknown[] = [];
  for await (const chunk of endpoint.stream(id, limitMs)) read.push(chunk);
  expect(read).toEqual([{ output: "01234" }]);
});

it("notifies the webhook of the end, in RunPod's words", async () => {
  const id = "notified-lake";
  const input = { ...lake, id, size: 3 };
  for (let time = 0; time < 2; time++) await endpointOf().run({ input, webhook }, limitMs);
  await expect
    .poll(() => notified)
    .toEqual([
      expect.objectContaining({
        id,
        status: "COMPLETED",
        webhook,
        input: expect.objectContaining({ type: "gated", prompt: "a quiet lake", metadata: {} }),
        // Nobody outside can reach this container.
        output: expect.objectContaining({ assets: [expect.objectContaining({ data: btoa("012") })] }),
      }),
    ]);
});

it.each([
  ["no key", "lakes/run", { input: lake }, 401, /needs a key/, {}],
  ["another key", "lakes/run", { input: lake }, 401, /not one that/, { authorization: "Bearer another-key-for-tests" }],
  ["no input", "lakes/run", {}, 400, /^input /],
  ["no type", "nowhere/run", { input: lake }, 400, /names no type.*RUNPOD_JOB_TYPE.*RUNPOD_ENDPOINT_TYPES/],
  ["an unknown type", "lakes/run", { input: { ...lake, type: "brew_tea" } }, 400, /brew_tea/],
  ["a parameter that is wrong", "lakes/run", { input: { ...lake, size: "big" } }, 400, /config\.size/],
  ["a wait that is no number", "lakes/runsync?wait=abc", { input: lake }, 400, /"abc".*milliseconds/],
  ["a policy that is wrong", "lakes/run", { input: lake, policy: { ttl: 5 } }, 400, /ttl/],
  [
    "a policy that the handler does not allow",
    "lakes/run",
    { input: lake, policy: { executionTimeout: 9_000_000 } },
    400,
    /policy\.executionTimeout is 9000000: makes a timeout_seconds of 9000, which must be at most 7,200/,
  ],
  [
    "a limit of the job's own beside a policy",
    "lakes/run",
    { input: { ...lake, timeout_seconds: 9000 }, policy: { executionTimeout: 6_000 } },
    400,
    /config\.timeout_seconds is 9000: must be at most 7,200/,
  ],
  ["a webhook in here", "lakes/run", { input: lake, webhook: "http://10.0.0.7/" }, 400, /webhook/],
  ["too much", "lakes/run", `{"input":{"prompt":"${"a".repeat(3_000_000)}"}}`, 413, /larger than/],
  [
    "too large an input",
    "lakes/run",
    `{"input":{"prompt":"${"a".repeat(1_100_000)}"}}`,
    413,
    /characters, and at most/,
  ],
  ["no JSON", "lakes/run", "<html>", 400, /not valid JSON/],
  ["a name that none can have", "la%20kes/run", { input: lake }, 404, /name/],
  ["an unknown job", "lakes/cancel/none", {}, 404, /no request "none"/],
  ["an unknown operation", "lakes/walk", {}, 404, /runsync/],
] as const)(
  "refuses %s in one sentence",
  async (_name, path, body, status, sentence, headers?: Record<string, string>) => {
    const answer = await post(path, body, headers);
    expect({ status: answer.status, body: await answer.json() }).toEqual({
      status,
      body: { error: expect.stringMatching(sentence) },
    });
  },
);
