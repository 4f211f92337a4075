import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import type { ConnectedSource } from "../source-definition.ts";
import { upstash } from "./definition.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

/** What a container gets with these variables beside the address and the token. */
function connect(variables: Readonly<Record<string, string>> = {}): Promise<ConnectedSource> {
  const { problems, configure } = upstash.read({
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    ...variables,
  });
  expect(problems).toEqual([]);
  const configured = configure({ workerId: "here", leaseSeconds: 30, supabase: null });
  if (configured === null) throw new Error("it is configured");
  const embedded = () => Promise.reject(new Error("there is no data folder"));
  return configured.connect({ workers: ["sdxl", "wan"], embedded });
}

it("is not there without its address, and says what is missing beside it", () => {
  const shared = { workerId: "here", leaseSeconds: 30, supabase: null };
  expect(upstash.read({}).configure(shared)).toBeNull();
  expect(upstash.read({ UPSTASH_REDIS_REST_URL: "https://db.example" }).problems).toEqual([
    "UPSTASH_REDIS_REST_TOKEN: must be set beside UPSTASH_REDIS_REST_URL",
  ]);
});

it("reads each list from the end that its variable names, with a lease of its own", async () => {
  const { source } = await connect({ UPSTASH_POP_SIDE: "sdxl_queue=left", UPSTASH_LEASE_SECONDS: "7" });
  const job = (id: string) => JSON.stringify({ id, type: "sdxl_image_fast", prompt: "a lake", user_id: "ann" });
  await gateway.client().rpush("sdxl_queue", job("first"), job("second"));
  await gateway.client().rpush("wan_queue", job("third"), job("fourth"));
  const taken: string[] = [];
  for (const worker of ["sdxl", "wan"]) {
    const { leases } = await source.take([{ worker, slots: 1 }]);
    taken.push(...leases.map(({ jobId }) => jobId));
  }
  expect(taken).toEqual(["first", "fourth"]);
  expect(source.leaseSeconds).toBe(7);
  await source.close();
});

it("says what it costs, and what it found that is no job", async () => {
  const { source, paid, undecodable } = await connect();
  await gateway.client().lpush("sdxl_queue", "no job at all");
  await source.take([{ worker: "sdxl", slots: 1 }]);
  expect(undecodable?.count).toBe(1);
  expect(await undecodable?.list(10)).toMatchObject([{ worker: "sdxl", raw: "no job at all" }]);
  expect(paid?.usage().commandsByOperation).toMatchObject({ take: expect.any(Number) });
  await source.close();
});
