import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { badGateway, type Faults, faultOnce } from "#gateway/faults.ts";
import { makeJob } from "#test/conformance/sources/harness.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { ClientTransport } from "./client-transport.ts";
import { createUpstashSource, type UpstashSource } from "./upstash-source.ts";

/* The queue over the official client, as a command of a person uses it. */
let gateway: TestGateway;
let faults: Faults | undefined;
let source: UpstashSource;

beforeAll(async () => {
  gateway = await startTestGateway({ faults: (request) => faults?.(request) });
});
afterAll(() => gateway.close());
beforeEach(async () => {
  faults = undefined;
  await gateway.client().flushall();
  source = over(gateway.token);
  return () => source.close();
});

function over(token: string): UpstashSource {
  const { url } = gateway;
  return createUpstashSource({ url, token, workerId: "command", transport: new ClientTransport({ url, token }) });
}

const job = makeJob("a", { prompt: 'a lake "at dawn", 07:00 ☀', config: { seed: 0 } });
const worker = "sdxl";

describe("an operator's calls", () => {
  test("do what they do over the container's own way", async () => {
    expect(await source.enqueue(job, { worker })).toMatchObject({ jobId: "a", created: true, position: 1 });
    expect(await source.enqueue(job, { worker })).toMatchObject({ created: false });
    expect(await source.get("a")).toMatchObject({ job, status: "queued" });
    expect(await source.get("nobody")).toBeNull();
    expect((await source.list({ limit: 9 })).jobs).toMatchObject([{ job: { id: "a" } }]);
    expect(await source.stats()).toMatchObject([{ queue: "sdxl_queue", queued: 1 }]);
    expect(await source.cancel("a")).toBe("cancelled");
    await expect(source.redrive("a")).rejects.toMatchObject({ code: "JOB_NOT_FAILED" });
  });

  test("send a script whole where the server does not know it", async () => {
    await source.enqueue(job, { worker });
    await gateway.client().scriptFlush();
    expect(await source.get("a")).toMatchObject({ job });
  });

  test("are made once when an answer is lost or comes from something in front", async () => {
    for (const [id, fault] of [
      ["a", { kind: "drop", at: "after" }],
      ["b", badGateway],
    ] as const) {
      faults = faultOnce(fault);
      expect(await source.enqueue({ ...job, id }, { worker })).toMatchObject({ jobId: id, created: true });
    }
    expect((await source.list({ limit: 9 })).jobs).toHaveLength(2);
  });

  test("say what is wrong, and not what was sent", async () => {
    const refused = await over(gateway.readOnlyToken)
      .enqueue(job, { worker })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining("may only read") });
    expect(String(refused)).not.toContain("a lake");
    await expect(over("wrong").get("a")).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});
