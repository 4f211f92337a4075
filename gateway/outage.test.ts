import { createClient } from "redis";
import { describe, expect, test } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestGateway, tokens } from "#test/support/gateway.ts";
import { startRedis } from "#test/support/redis.ts";
import { startGateway } from "./gateway.ts";
import { connectTimeoutMs } from "./redis-link.ts";

describe("when Redis goes away", () => {
  test("requests under load fail clearly and at once, and a status says what was applied", {
    timeout: 60_000,
  }, async () => {
    const gateway = await startTestGateway({ redis: { persistence: true } });
    const statuses = new Map<number, number>();
    const refusedMs: number[] = [];
    const phase = { isOver: false };
    const load = Promise.all(
      Array.from({ length: 32 }, async () => {
        while (!phase.isOver) {
          const startedMs = performance.now();
          const { status, text } = await gateway.send("/incr/n");
          if (status === 503) refusedMs.push(performance.now() - startedMs);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status !== 200) expect(JSON.parse(text)).toEqual({ error: expect.stringMatching(/^(ERR|LOADING) /) });
        }
      }),
    );
    const seen = (status: number) => expect.poll(() => statuses.get(status) ?? 0, { timeout: 20_000 });
    for (const _round of [1, 2, 3]) {
      const before = statuses.get(200) ?? 0;
      await seen(200).toBeGreaterThan(before + 100);
      const refusedBefore = statuses.get(503) ?? 0;
      await gateway.redis.kill();
      await seen(503).toBeGreaterThan(refusedBefore);
      await gateway.redis.restart();
    }
    await seen(200).toBeGreaterThan((statuses.get(200) ?? 0) + 100);
    phase.isOver = true;
    await load;

    expect([...statuses.keys()].filter((status) => ![200, 502, 503].includes(status))).toEqual([]);
    const { result } = (await gateway.send("/get/n")).json() as { result: string };
    // 200 was applied, 503 was not, and only for a 502 nobody can say.
    const answered = statuses.get(200) ?? 0;
    expect(Number(result)).toBeGreaterThanOrEqual(answered);
    expect(Number(result)).toBeLessThanOrEqual(answered + (statuses.get(502) ?? 0));
    // Some are late on a busy machine; what waits for a connection is late each time, by its limit.
    expect(refusedMs.toSorted((a, b) => a - b)[Math.floor(refusedMs.length / 2)]).toBeLessThan(connectTimeoutMs / 2);
    await gateway.close();
  });

  test("a gateway that starts without Redis works when it comes", async () => {
    const redis = await startRedis();
    await redis.kill();
    const log = await createLogger({ level: "silent", format: "json" });
    const gateway = await startGateway({ redisUrl: redis.url, host: "127.0.0.1", port: 0, ...tokens, log });
    const ping = () => fetch(`${gateway.url}/ping?_token=${tokens.token}`).then(({ status }) => status);
    expect(await ping()).toBe(503);
    await redis.restart();
    await expect.poll(ping, { timeout: 10_000 }).toBe(200);
    await gateway.close();
    await redis.stop();
  });

  test("a Redis that hangs is a 504 in time, and the connection is made anew", async () => {
    const gateway = await startTestGateway({ replyTimeoutMs: 200 });
    const admin = await createClient({ url: gateway.redis.url }).connect();
    await admin.sendCommand(["CLIENT", "PAUSE", "1500", "ALL"]);
    const [late, alsoLate] = await Promise.all([gateway.send("/set/k/v"), gateway.send("/get/k")]);
    expect([late.status, late.json()]).toEqual([504, { error: expect.stringContaining("may or may not") }]);
    expect([502, 504]).toContain(alsoLate.status);
    expect((await gateway.send("/ping")).status).toBe(503);
    await expect.poll(async () => (await gateway.send("/ping")).status, { timeout: 10_000 }).toBe(200);
    await admin.close();
    await gateway.close();
  });

  test("a Redis that is busy with a script is a 503 that says so and how it ends, also while it is connected to", async () => {
    const gateway = await startTestGateway({ replyTimeoutMs: 300 });
    const open = () => createClient({ url: gateway.redis.url, commandOptions: { timeout: 0 } }).connect();
    const [runner, killer] = await Promise.all([open(), open()]);
    await killer.sendCommand(["CONFIG", "SET", "lua-time-limit", "50"]);
    const script = runner.sendCommand(["EVAL", "while true do end", "0"]).catch(() => undefined);
    const answer = async () => {
      const { status, text } = await gateway.send("/get/k");
      return `${status} ${text}`;
    };
    // First Redis says so itself; of a connection that is made anew meanwhile, the gateway does.
    await expect.poll(answer).toMatch(/^503 .*"BUSY /);
    const log = await createLogger({ level: "silent", format: "json" });
    const later = await startGateway({ redisUrl: gateway.redis.url, host: "127.0.0.1", port: 0, ...tokens, log });
    const response = await fetch(`${later.url}/get/k?_token=${tokens.token}`);
    expect([response.status, await response.json()]).toEqual([
      503,
      { error: expect.stringMatching(/^BUSY .*nothing was applied .*SCRIPT KILL/) },
    ]);
    await killer.sendCommand(["SCRIPT", "KILL"]);
    await script;
    await expect.poll(async () => (await fetch(`${later.url}/ping?_token=${tokens.token}`)).status).toBe(200);
    await later.close();
    runner.destroy();
    killer.destroy();
    await gateway.close();
  });

  test("a wrong password of Redis is a 503, not a command's error", async () => {
    const gateway = await startTestGateway();
    const log = await createLogger({ level: "silent", format: "json" });
    const redisUrl = gateway.redis.url.replace("redis://", "redis://:wrong@");
    const locked = await startGateway({ redisUrl, host: "127.0.0.1", port: 0, ...tokens, log });
    expect((await fetch(`${locked.url}/ping?_token=${tokens.token}`)).status).toBe(503);
    await locked.close();
    await gateway.close();
  });
});

test("two hundred clients at once neither lose nor share a job", { timeout: 60_000 }, async () => {
  const gateway = await startTestGateway();
  const clients = Array.from({ length: 200 }, () => gateway.client());
  await Promise.all(clients.map((client, index) => client.rpush("queue", ...jobsOf(index))));
  const taken = await Promise.all(
    clients.map(async (client) => {
      const jobs: unknown[] = [];
      for (let job = await client.lpop("queue"); job !== null; job = await client.lpop("queue")) jobs.push(job);
      return jobs;
    }),
  );
  const all = taken.flat();
  expect(all).toHaveLength(1_000);
  expect(new Set(all)).toEqual(new Set(clients.flatMap((_, index) => jobsOf(index))));
  await gateway.close();
});

function jobsOf(client: number): string[] {
  return Array.from({ length: 5 }, (_, index) => `job ${client}-${index}`);
}

test("closing lets requests under way finish, and takes no more", async () => {
  const arrived = Promise.withResolvers<void>();
  const gateway = await startTestGateway({
    faults: () => {
      arrived.resolve();
      return undefined;
    },
  });
  const admin = await createClient({ url: gateway.redis.url }).connect();
  await admin.sendCommand(["CLIENT", "PAUSE", "300", "ALL"]);
  admin.destroy();
  const underWay = gateway.send("/incr/n");
  await arrived.promise;
  const closed = gateway.close();
  await expect(gateway.send("/ping")).rejects.toThrow("fetch failed");
  const { status, headers } = await underWay;
  expect([status, headers.get("connection")]).toEqual([200, "close"]);
  await closed;
});
