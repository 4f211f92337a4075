import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { startContainer, type TestContainer, testKey } from "../testing/container.ts";

/* The `webhook` of a request at a container's endpoint, which has to outlive the container that took the request. */
const headers = { authorization: `Bearer ${testKey}` };
let container: TestContainer;
let host: string;
let arrived: { readonly path: string; readonly body: unknown }[];
/** What comes is refused as long as this is true. */
let isAway: boolean;
let refused: number;
const receiver = createServer(async (request, response) => {
  const body = await json(request);
  if (isAway) refused++;
  else arrived.push({ path: request.url ?? "", body });
  response.writeHead(isAway ? 503 : 200).end();
});

beforeAll(async () => {
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const address = receiver.address();
  host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
beforeEach(async () => {
  [arrived, isAway, refused] = [[], false, 0];
  container = await start();
});
afterEach(() => container.stop());
afterAll(() => {
  receiver.closeAllConnections();
  receiver.close();
});

const start = (env: Record<string, string> = {}) =>
  startContainer({ WAN_WORKER_API_KEY: testKey, WEBHOOK_HOSTS_ALLOWED: host, ...env });

async function startAgain() {
  const { folder } = container.runtime;
  await container.runtime.stop();
  container = await start({ DATA_DIR: folder });
}

async function run(input: object, webhook = `http://${host}/endpoint`) {
  const request = { headers, body: { input: { prompt: "a quiet lake", ...input }, webhook } };
  return z.object({ id: z.string() }).parse((await container.call("POST", "/v2/gated/run", request)).json).id;
}

it("is notified once of a job that another container has ended, after a third one has taken that over", async () => {
  const gate = `${container.runtime.folder}/gate`;
  const id = await run({ gate });
  await startAgain();
  isAway = true;
  await writeFile(gate, "");
  await expect.poll(() => refused).toBeGreaterThan(0);
  await startAgain();
  isAway = false;
  await container.call("POST", "/outbox/try", { headers });
  const body = {
    id,
    status: "COMPLETED",
    delayTime: expect.any(Number),
    executionTime: expect.any(Number),
    workerId: "test-worker",
    input: expect.objectContaining({ type: "gated", prompt: "a quiet lake", metadata: {} }),
    output: expect.objectContaining({ text: "01234" }),
    webhook: `http://${host}/endpoint`,
  };
  await expect.poll(() => arrived).toEqual([{ path: "/endpoint", body }]);
  await expect
    .poll(async () => (await container.call("GET", "/outbox", { headers })).json)
    .toMatchObject({ waiting: 0 });
  expect(arrived).toHaveLength(1);
});

it("is notified beside the address that the job itself names, of a failure in the words of its status", async () => {
  const id = await run({ fail: "the lake is dry", webhook_url: `http://${host}/job` });
  await expect.poll(() => arrived.map(({ path }) => path).sort()).toEqual(["/endpoint", "/job"]);
  const status = (await container.call("GET", `/v2/gated/status/${id}`, { headers })).json;
  const { error } = z.object({ error: z.string() }).parse(status);
  const bodies = Object.fromEntries(arrived.map(({ path, body }) => [path, body]));
  expect(bodies["/job"]).toMatchObject({ job_id: id.replace(/-u1$/, ""), status: "failed" });
  expect(bodies["/endpoint"]).toMatchObject({ id, status: "FAILED", error });
});

it("is notified of a job that was cancelled before it ran, and again of one that is retried", async () => {
  const gate = `${container.runtime.folder}/gate`;
  await run({ gate });
  const waiting = await run({});
  await container.call("POST", `/v2/gated/cancel/${waiting}`, { headers });
  await expect.poll(() => arrived).toMatchObject([{ body: { id: waiting, status: "CANCELLED" } }]);
  arrived = [];
  const failing = await run({ fail: "the lake is dry" });
  await writeFile(gate, "");
  const ends = () => arrived.filter(({ body }) => z.object({ id: z.string() }).parse(body).id === failing);
  await expect.poll(ends).toHaveLength(1);
  await container.call("POST", `/v2/gated/retry/${failing}`, { headers });
  await expect.poll(ends).toMatchObject([{ body: { status: "FAILED" } }, { body: { status: "FAILED" } }]);
});
