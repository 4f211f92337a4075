import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import runpodSdk from "runpod-sdk";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { startContainer, type TestContainer, testKey } from "../testing/container.ts";

/* Two containers on one queue, of which one answers RunPod's clients and the other runs the jobs. */
const limitMs = 60_000;
const notified: unknown[] = [];
const receiver = createServer(async (request, response) => {
  notified.push(await json(request));
  response.end();
});
let gateway: TestGateway;
let front: TestContainer;
let back: TestContainer;
let webhook: string;
let endpoint: NonNullable<ReturnType<ReturnType<typeof runpodSdk>["endpoint"]>>;

beforeAll(async () => {
  // The client prints each round of its wait.
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const address = receiver.address();
  const host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  webhook = `http://${host}/ended`;
  gateway = await startTestGateway();
  const env = {
    WAN_WORKER_API_KEY: testKey,
    WEBHOOK_HOSTS_ALLOWED: host,
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
  };
  [front, back] = await Promise.all([startContainer(env), startContainer(env)]);
  front.runtime.dispatcher.pause();
  const given = runpodSdk(testKey, { baseUrl: `${(await front.listen()).url}/v2` }).endpoint("gated");
  if (given === null) throw new Error("there is no endpoint");
  endpoint = given;
});
afterAll(async () => {
  await Promise.all([front.stop(), back.stop()]);
  await gateway.close();
  receiver.closeAllConnections();
  receiver.close();
  vi.restoreAllMocks();
});

const lake = { prompt: "a quiet lake" };

it("answers at the one what becomes of a job at the other, and notifies its webhook once", async () => {
  const { id } = await endpoint.run({ input: lake, webhook }, limitMs);
  const read: unknown[] = [];
  for await (const chunk of endpoint.stream(id, limitMs)) read.push(chunk);
  expect(read).toEqual([{ output: "01234" }]);
  expect(await endpoint.status(id, limitMs)).toMatchObject({ id, status: "COMPLETED", output: { text: "01234" } });
  await expect.poll(() => notified).toMatchObject([{ id, status: "COMPLETED", webhook }]);
  expect((await endpoint.health(limitMs)).jobs).toMatchObject({ completed: 1, inProgress: 0, inQueue: 0 });
});

it("cancels at the one what runs at the other", async () => {
  notified.length = 0;
  const { id } = await endpoint.run({ input: { ...lake, gate: `${back.runtime.folder}/gate` }, webhook }, limitMs);
  await expect.poll(() => endpoint.status(id, limitMs)).toMatchObject({ status: "IN_PROGRESS" });
  expect(await endpoint.cancel(id, limitMs)).toMatchObject({ id, status: "CANCELLED" });
  expect(await endpoint.statusSync(id, limitMs)).toMatchObject({ status: "CANCELLED", completed: true });
  await expect.poll(() => notified).toMatchObject([{ id, status: "CANCELLED" }]);
});
