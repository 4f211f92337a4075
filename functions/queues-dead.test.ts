import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { deadLetters } from "./api/queues-dead.ts";
import { redriveQueue } from "./api/queues-redrive.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

const page = z.object({ jobs: z.array(z.object({ job_id: z.string() })), cursor: z.string().nullable() });

/** What any queue must do, with whatever lies behind it. */
function describeDeadLetters(start: () => Promise<TestContainer>): void {
  let container: TestContainer;
  beforeAll(async () => {
    container = await start();
  });
  afterAll(() => container.stop());

  it("lists what failed with why, in pages, and gives all of it new attempts", async () => {
    const ids: string[] = [];
    for (const stumble of ["the first", "the second", "the third"]) {
      const id = await container.runtime.submit("gated", { stumble });
      await container.runtime.ended(id);
      ids.unshift(id);
    }
    await container.runtime.ended(await container.runtime.submit("gated"));

    const first = await container.call("GET", "/queues/test_queue/dead?limit=2");
    expect(deadLetters.responses[200].parse(first.json)).toEqual(first.json);
    expect(first.json).toMatchObject({ jobs: [{ error: { message: "the third" } }, { job_id: ids[1] }] });
    const { cursor } = page.parse(first.json);
    const second = page.parse((await container.call("GET", `/queues/test_queue/dead?limit=2&cursor=${cursor}`)).json);
    expect(second.jobs.map(({ job_id }) => job_id)).toEqual([ids[2]]);

    container.runtime.dispatcher.pause();
    const some = await container.call("POST", "/queues/test_queue/redrive?limit=1");
    expect(some).toMatchObject({ status: 202, json: { queue: "test_queue", redriven: 1, refused: 0, more: true } });
    const rest = await container.call("POST", "/queues/test_queue/redrive");
    expect(redriveQueue.responses[202].parse(rest.json)).toMatchObject({ redriven: 2, more: false });
    expect(page.parse((await container.call("GET", "/queues/test_queue/dead")).json).jobs).toEqual([]);
    for (const id of ids) expect(await container.runtime.queue.get(id)).toMatchObject({ status: "queued", attempt: 0 });
    container.runtime.dispatcher.resume();
  });

  it("names the queues when there is none of that name", async () => {
    for (const [method, path] of [
      ["GET", "/queues/nope/dead"],
      ["POST", "/queues/nope/redrive"],
    ] as const) {
      const { status, json } = await container.call(method, path);
      expect({ status, json }).toMatchObject({ status: 404, json: { code: "NOT_FOUND", error: /test_queue/ } });
    }
  });

  it("refuses a cursor that no page named", async () => {
    const { status } = await container.call("GET", "/queues/test_queue/dead?cursor=%27%20OR%201");
    expect(status).toBe(400);
  });
}

describe("the embedded queue", () => describeDeadLetters(() => startContainer()));

describe("a queue on Redis", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway();
  });
  afterAll(() => gateway.close());

  const start = () => startContainer({ UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token });

  describeDeadLetters(start);

  it("also lists elements in which there is no job, without their secrets", async () => {
    await gateway
      .client()
      .lpush("test_queue", '{"url":"https://a.example/x?token=eyJhbGciOiJIUzI1NiJ9.e30.abc", broken');
    const container = await start();
    await expect
      .poll(async () => (await container.call("GET", "/queues/test_queue/dead")).json, { timeout: 20_000 })
      .toMatchObject({ undecodable: [{ reason: expect.any(String), element: expect.stringContaining("broken") }] });
    expect((await container.call("GET", "/queues/test_queue/dead")).text).not.toContain("eyJhbGciOiJIUzI1NiJ9.e30");
    await container.stop();
  });

  it("is not queried again for its depth at each request", async () => {
    const container = await start();
    await container.call("GET", "/queues");
    const upstash = container.runtime.sources.get("upstash")?.paid;
    const before = upstash?.usage().commandsByOperation.stats;
    for (let n = 0; n < 20; n++) {
      expect((await container.call("GET", "/queues")).status).toBe(200);
      expect((await container.call("GET", "/worker/resources")).status).toBe(200);
    }
    expect(before).toBeGreaterThan(0);
    expect(upstash?.usage().commandsByOperation.stats).toBe(before);
    await container.stop();
  });
});
