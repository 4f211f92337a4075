import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { commandName } from "./command.ts";
import { badGateway, type Fault, type Faults, faultOnce, randomFaults, tooManyRequests } from "./faults.ts";

let gateway: TestGateway;
let faults: Faults = () => undefined;
beforeAll(async () => {
  gateway = await startTestGateway({ faults: (request) => faults(request) });
});
afterAll(() => gateway.close());
beforeEach(async () => {
  faults = () => undefined;
  await gateway.send("/del/n");
});

const isIncr: Parameters<typeof faultOnce>[1] = ({ commands: [command] }) =>
  command !== undefined && commandName(command) === "INCR";
const count = async () => ((await gateway.send("/get/n")).json() as { result: string | null }).result;

describe("each fault", () => {
  test.each([
    ["before", null],
    ["after", "1"],
  ] as const)("a connection that breaks %s the command was applied", async (at, applied) => {
    faults = faultOnce({ kind: "drop", at }, isIncr);
    await expect(gateway.send("/incr/n")).rejects.toThrow("fetch failed");
    expect(await count()).toBe(applied);
    expect((await gateway.send("/incr/n")).status).toBe(200);
  });

  test.each([
    ["before", null],
    ["after", "1"],
  ] as const)("an answer that comes late, delayed %s the command was applied", async (at, applied) => {
    faults = faultOnce({ kind: "delay", at, delayMs: 60_000 }, isIncr);
    const abort = new AbortController();
    const late = gateway.send("/incr/n", { signal: abort.signal });
    await expect.poll(count).toBe(applied);
    abort.abort();
    await expect(late).rejects.toThrow(/abort/);
  });

  test.each([
    ["too many requests", tooManyRequests, 429],
    ["a load balancer's page", badGateway, 502],
  ])("%s, and nothing is applied", async (_, fault, status) => {
    faults = faultOnce(fault, isIncr);
    const answer = await gateway.send("/incr/n");
    expect([answer.status, await count()]).toEqual([status, null]);
  });

  test("a delay ends with the gateway", async () => {
    const arrived = Promise.withResolvers<void>();
    const delayed: Faults = () => {
      arrived.resolve();
      return { kind: "delay", at: "before", delayMs: 60_000 };
    };
    const own = await startTestGateway({ faults: delayed });
    const waiting = own.send("/ping");
    await arrived.promise;
    await own.close();
    expect((await waiting).status).toBe(200);
  });

  test("an event stream that is cut", async () => {
    const cut = new AbortController();
    faults = faultOnce({ kind: "cut", signal: cut.signal }, ({ route }) => route === "subscribe");
    const headers = { authorization: `Bearer ${gateway.token}` };
    const stream = await fetch(`${gateway.url}/subscribe/chat`, { headers });
    const reader = stream.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("data: subscribe,chat,1\n\n");
    cut.abort();
    await expect(reader?.read()).rejects.toThrow("terminated");
  });
});

test("random faults come as often as they should", () => {
  const drop: Fault = { kind: "drop", at: "after" };
  const rates = [
    { fault: drop, probability: 0.2 },
    { fault: tooManyRequests, probability: 0.1 },
  ];
  const draws = [0, 0.19, 0.21, 0.29, 0.31, 0.99];
  const decide = randomFaults(rates, () => draws.shift() ?? 1);
  const decisions = Array.from({ length: 6 }, () => decide({ route: "command", commands: [] }));
  expect(decisions).toEqual([drop, drop, tooManyRequests, tooManyRequests, undefined, undefined]);
});
