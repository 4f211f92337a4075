import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { discardUndecodable } from "./api/undecodable-discard.ts";
import { listUndecodable, type UndecodableView } from "./api/undecodable-list.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let gateway: TestGateway;
let container: TestContainer;

beforeAll(async () => {
  gateway = await startTestGateway();
  container = await startContainer({ UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token });
  container.runtime.dispatcher.pause();
});

afterAll(async () => {
  await container.stop();
  await gateway.close();
});

const letters = () => gateway.client({ automaticDeserialization: false });
let lettersAt = 0;

/** As a take puts them there: the newest first. */
async function put(worker: string, ...elements: string[]): Promise<void> {
  for (const element of elements) {
    lettersAt += 1000;
    const head = JSON.stringify({ worker, reason: "the element is not JSON", at: lettersAt });
    await letters().lpush("ourvidz:dead-letters", `${head}\n${element}`);
  }
}

beforeEach(async () => {
  await letters().del("ourvidz:dead-letters");
  lettersAt = 1_760_000_000_000;
});

async function listed(query = ""): Promise<UndecodableView> {
  const { status, json } = await container.call("GET", `/undecodable${query}`);
  expect(status).toBe(200);
  return listUndecodable.responses[200].parse(json);
}

async function discard(queue: string, which: Record<string, string | undefined>) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(which)) if (value !== undefined) query.set(name, value);
  return container.call("POST", `/queues/${queue}/undecodable/discard?${query}`);
}

const elementsOf = async () => (await listed("?limit=100")).elements.map(({ element }) => element);

describe("elements without a job", () => {
  it("come off their list as they were pushed, are named, and go one by one", async () => {
    container.runtime.dispatcher.resume();
    await gateway.client().lpush("test_queue", "{ broken ?token=eyJhbGciOiJIUzI1NiJ9.e30.abc", "also broken");
    await expect.poll(elementsOf, { timeout: 20_000 }).toHaveLength(2);
    container.runtime.dispatcher.pause();
    const { elements, more, unreachable } = await listed();
    expect({ more, unreachable }).toEqual({ more: false, unreachable: [] });
    expect(JSON.stringify(elements)).not.toContain("eyJhbGciOiJIUzI1NiJ9.e30");
    const [first, second] = elements;
    expect(first).toMatchObject({ source: "upstash", queue: "test_queue", reason: "the element is not JSON" });
    const { status, json } = await discard("test_queue", { id: second?.id });
    expect({ status, body: discardUndecodable.responses[200].parse(json) }).toEqual({
      status: 200,
      body: { queue: "test_queue", discarded: 1, more: false },
    });
    expect((await listed()).elements).toEqual([first]);
    const again = await discard("test_queue", { id: second?.id });
    expect(again).toMatchObject({ status: 404, json: { code: "NOT_FOUND" } });
  });

  it("go all of one queue, and no other's", async () => {
    await put("test", ...Array.from({ length: 35 }, (_, place) => `broken-${place}`));
    await put("sdxl", "of another queue");
    await put("test", "the newest", "twice", "twice");
    expect((await discard("test_queue", { all: "true" })).json).toMatchObject({ discarded: 38, more: false });
    expect(await elementsOf()).toEqual(["of another queue"]);
    expect((await discard("test_queue", { all: "true" })).json).toMatchObject({ discarded: 0 });
  });

  it("that are alike go one at a time", async () => {
    const head = JSON.stringify({ worker: "test", reason: "the element is not JSON", at: lettersAt });
    await letters().lpush("ourvidz:dead-letters", `${head}\nbroken`, `${head}\nbroken`, `${head}\nbroken too`);
    const { elements } = await listed();
    expect(new Set(elements.map(({ id }) => id)).size).toBe(2);
    expect((await discard("test_queue", { id: elements[1]?.id })).json).toMatchObject({ discarded: 1 });
    expect(await elementsOf()).toEqual(["broken too", "broken"]);
  });

  it("of any size are read in parts", async () => {
    const large = "x".repeat(6_000_000);
    await put("test", ...Array.from({ length: 8 }, (_, place) => `${large}${place}`));
    await put("sdxl", `${large}of another queue`);
    await put("test", `${large}the newest`);
    const before = container.runtime.sources.get("upstash")?.paid?.usage().requests ?? 0;
    expect((await discard("test_queue", { all: "true" })).json).toMatchObject({ discarded: 9, more: false });
    expect((container.runtime.sources.get("upstash")?.paid?.usage().requests ?? 0) - before).toBeGreaterThan(1);
    expect(await letters().llen("ourvidz:dead-letters")).toBe(1);
  });

  it("are as many as were asked for, of one queue or all", async () => {
    await put("test", "a", "b");
    await put("sdxl", "c");
    expect(await listed("?limit=2")).toMatchObject({ elements: [{ element: "c" }, { element: "b" }], more: true });
    expect((await listed("?queue=test_queue")).elements).toMatchObject([{ element: "b" }, { element: "a" }]);
  });

  it.each([{}, { id: "" }, { id: "a", all: "true" }, { all: "false" }, { al: "true" }, { all: "" }])(
    "are left by a request that does not say which: %j",
    async (which) => {
      await put("test", "broken");
      expect((await discard("test_queue", which)).status).toBe(400);
      expect(await elementsOf()).toEqual(["broken"]);
    },
  );

  it("of a queue that there is none of are refused", async () => {
    expect(await discard("nope_queue", { all: "true" })).toMatchObject({ status: 404, json: { code: "NOT_FOUND" } });
    expect((await container.call("GET", "/undecodable?queue=nope_queue")).status).toBe(404);
  });
});

it("there are none where only jobs can be", async () => {
  const embedded = await startContainer();
  expect((await embedded.call("GET", "/undecodable")).json).toEqual({ elements: [], more: false, unreachable: [] });
  const nothing = await embedded.call("POST", "/queues/test_queue/undecodable/discard?all=true");
  expect(nothing).toMatchObject({ status: 200, json: { discarded: 0 } });
  await embedded.stop();
});
