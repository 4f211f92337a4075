import type { Redis } from "@upstash/redis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";

/*
 * The official client against the gateway, in the four ways in which it can be set up.
 */
let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

const variants = [
  { responseEncoding: "base64", enableAutoPipelining: true },
  { responseEncoding: "base64", enableAutoPipelining: false },
  { responseEncoding: false, enableAutoPipelining: true },
  { responseEncoding: false, enableAutoPipelining: false },
] as const;

describe.each(variants)("the client with %o", (variant) => {
  let redis: Redis;
  beforeEach(async () => {
    redis = gateway.client(variant);
    await redis.flushall();
  });

  test("strings and counters", async () => {
    expect(await redis.set("k", "v")).toBe("OK");
    expect(await redis.get("k")).toBe("v");
    expect(await redis.get("absent")).toBeNull();
    expect(await redis.set("k", "other", { nx: true })).toBeNull();
    expect(await redis.set("short", "v", { ex: 100 })).toBe("OK");
    expect(await redis.ttl("short")).toBe(100);
    expect(await redis.set("shorter", "v", { px: 90_000 })).toBe("OK");
    expect(await redis.pttl("shorter")).toBeGreaterThan(80_000);
    expect(await redis.mset({ a: "1", b: "two" })).toBe("OK");
    expect(await redis.mget("a", "absent", "b")).toEqual([1, null, "two"]);
    expect(await redis.incr("n")).toBe(1);
    expect(await redis.incrby("n", 41)).toBe(42);
    expect(await redis.decr("n")).toBe(41);
    expect(await redis.append("k", "-more")).toBe(6);
    expect(await redis.strlen("k")).toBe(6);
    expect(await redis.setrange("k", 0, "V")).toBe(6);
    expect(await redis.getdel("k")).toBe("V-more");
    expect(await redis.exists("k")).toBe(0);
  });

  test("keys", async () => {
    await redis.mset({ one: "1", two: "2", three: "3" });
    expect(await redis.exists("one", "two", "absent")).toBe(2);
    expect(await redis.type("one")).toBe("string");
    expect(await redis.expire("one", 60)).toBe(1);
    expect(await redis.ttl("one")).toBe(60);
    expect(await redis.persist("one")).toBe(1);
    expect(await redis.ttl("one")).toBe(-1);
    expect(await redis.rename("one", "uno")).toBe("OK");
    expect(await redis.del("uno", "two")).toBe(2);
    const [cursor, keys] = await redis.scan(0, { match: "th*", count: 100 });
    expect([cursor, keys]).toEqual(["0", ["three"]]);
    expect(await redis.ping()).toBe("PONG");
    const [seconds] = await redis.time();
    expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(5);
  });

  test("lists", async () => {
    expect(await redis.lpush("l", "b", "a")).toBe(2);
    expect(await redis.rpush<unknown>("l", "c", { id: "job-1", steps: 15 })).toBe(4);
    expect(await redis.llen("l")).toBe(4);
    expect(await redis.lrange("l", 0, -1)).toEqual(["a", "b", "c", { id: "job-1", steps: 15 }]);
    expect(await redis.lrem("l", 0, "b")).toBe(1);
    expect(await redis.lpop("l")).toBe("a");
    expect(await redis.rpop("l")).toEqual({ id: "job-1", steps: 15 });
    expect(await redis.rpop("absent")).toBeNull();
  });

  test("hashes", async () => {
    expect(await redis.hset("h", { name: "lake", size: 2 })).toBe(2);
    expect(await redis.hget("h", "name")).toBe("lake");
    expect(await redis.hincrby("h", "size", 3)).toBe(5);
    expect(await redis.hgetall("h")).toEqual({ name: "lake", size: 5 });
    expect(await redis.hscan("h", 0)).toEqual(["0", ["name", "lake", "size", 5]]);
    expect(await redis.hdel("h", "name")).toBe(1);
    expect(await redis.hgetall("absent")).toBeNull();
  });

  test("sets and sorted sets", async () => {
    expect(await redis.sadd("s", "a", "b")).toBe(2);
    expect((await redis.smembers("s")).sort()).toEqual(["a", "b"]);
    expect(await redis.sismember("s", "a")).toBe(1);
    expect(await redis.srem("s", "a")).toBe(1);
    expect(await redis.scard("s")).toBe(1);
    expect(await redis.zadd("z", { score: 1.5, member: "low" }, { score: 2, member: "high" })).toBe(2);
    expect(await redis.zrange("z", 0, -1)).toEqual(["low", "high"]);
    expect(await redis.zrange("z", 0, -1, { withScores: true })).toEqual(["low", 1.5, "high", 2]);
    expect(await redis.zscore("z", "low")).toBe(1.5);
    expect(await redis.zrem("z", "low")).toBe(1);
    expect(await redis.zcard("z")).toBe(1);
  });

  test("scripts", async () => {
    const script = "return {KEYS[1], ARGV[1], 7, redis.call('INCR', KEYS[1])}";
    expect(await redis.eval(script, ["n"], ["x"])).toEqual(["n", "x", 7, 1]);
    const sha = await redis.scriptLoad(script);
    expect(await redis.evalsha(sha, ["n"], ["y"])).toEqual(["n", "y", 7, 2]);
    expect(await redis.scriptExists(sha)).toEqual([1]);
    expect(await redis.scriptFlush()).toBe("OK");
    await expect(redis.evalsha(sha, ["n"], ["y"])).rejects.toThrow(/NOSCRIPT/);
    expect(await redis.eval("return {{'a', {'b', 1}}, {}}", [], [])).toEqual([["a", ["b", 1]], []]);
  });

  test("pipelines and transactions", async () => {
    const pipeline = redis.pipeline().set("p", "1").incr("p").lrange("absent", 0, -1).get("absent");
    expect(await pipeline.exec()).toEqual(["OK", 2, [], null]);
    expect(await redis.multi().set("m", { ok: true }).get("m").exec()).toEqual(["OK", { ok: true }]);
    const failing = redis.pipeline().set("text", "a").incr("text").get("text");
    const [, error, text] = await failing.exec({ keepErrors: true });
    expect(error?.error).toMatch(/ERR value is not an integer/);
    expect(text?.result).toBe("a");
  });

  test("values of every kind come back as they were", async () => {
    const texts = [
      "grün 東京 🎨",
      'quotes " and \\ and \n',
      "\u0000\u0001",
      "OK",
      "null",
      "",
      "8E8=",
      "a".repeat(70_000),
    ];
    const raw = gateway.client({ ...variant, automaticDeserialization: false });
    for (const text of texts) {
      await raw.set("text", text);
      expect(await raw.get("text")).toBe(text);
      await raw.del("list");
      await raw.rpush("list", text);
      expect(await raw.lrange("list", 0, -1)).toEqual([text]);
    }
    for (const value of [true, 0.1, -5, { a: [1, { b: null }] }, [1, "two"]]) {
      await redis.set("value", value);
      expect(await redis.get("value")).toEqual(value);
    }
  });

  test("errors carry Redis' own words", async () => {
    await redis.set("k", "text");
    await expect(redis.incr("k")).rejects.toThrow(/ERR value is not an integer/);
    await expect(redis.lpush("k", "x")).rejects.toThrow(/WRONGTYPE/);
  });

  test("nine megabytes pass, eleven do not", async () => {
    const nine = "x".repeat(9 * 1024 * 1024);
    expect(await redis.set("big", nine)).toBe("OK");
    expect(await redis.strlen("big")).toBe(nine.length);
    const back = await redis.get<string>("big");
    expect(back === nine).toBe(true);
    await expect(redis.set("big", "x".repeat(11 * 1024 * 1024))).rejects.toThrow(/max request size exceeded/);
  });
});

test("commands in one tick are one request when the client pipelines by itself", async () => {
  const redis = gateway.client({ enableAutoPipelining: true });
  const results = await Promise.all([redis.set("auto", "1"), redis.incr("auto"), redis.get("auto")]);
  expect(results).toEqual(["OK", 2, 2]);
});

test("a wrong token is refused in Upstash's words", async () => {
  const redis = gateway.client({ token: "not-the-token" });
  await expect(redis.get("k")).rejects.toThrow("WRONGPASS invalid or missing auth token");
});

test("the client sends back the sync token of the last answer", async () => {
  const redis = gateway.client({ readYourWrites: true });
  await redis.set("k", "v");
  expect(await redis.get("k")).toBe("v");
});
