import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { startGateway } from "./gateway.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
  await gateway.send("/set/k/v");
});
afterAll(() => gateway.close());

describe("tokens", () => {
  test.each(["", "Bearer", "Bearer wrong", "Basic eDp5"])("%j is refused", async (authorization) => {
    const answer = await gateway.send("/get/k", { headers: { authorization } });
    expect([answer.status, answer.json()]).toEqual([401, { error: "WRONGPASS invalid or missing auth token" }]);
  });

  test.each(["Bearer ", "bearer ", ""])("the header may be %jTOKEN", async (scheme) => {
    const headers = { authorization: `${scheme}${gateway.token}` };
    expect((await gateway.send("/get/k", { headers })).json()).toEqual({ result: "v" });
  });
});

describe("the read-only token", () => {
  const reader = () => ({ authorization: `Bearer ${gateway.readOnlyToken}` });

  test("GET is allowed", async () => {
    expect((await gateway.send("/", { body: ["GET", "k"], headers: reader() })).json()).toEqual({ result: "v" });
  });

  test.each([
    "SET",
    "EVAL",
    "EVALSHA",
    "FCALL",
    "KEYS",
    "SCAN",
    "PUBLISH",
    "FLUSHALL",
    "GETDEL",
    "NOPE",
    "SCRIPT",
    "LCS",
  ])("%s is refused", async (name) => {
    const answer = await gateway.send("/", { body: [name, "k", "x"], headers: reader() });
    const error = `NOPERM this user has no permissions to run the '${name.toLowerCase()}' command or its subcommand`;
    expect([answer.status, answer.json()]).toEqual([400, { error }]);
  });

  test.each([
    ["EVAL_RO", "while true do end", "0"],
    ["EVALSHA_RO", "0".repeat(40), "0"],
    ["FCALL_RO", "endless", "0"],
  ])("%s is refused, as everything that can compute without end", async (...body) => {
    const answer = await gateway.send("/", { body, headers: reader() });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("NOPERM")]);
    expect((await gateway.send("/ping")).json()).toEqual({ result: "PONG" });
  });

  test("a pipeline reads and does not write, a transaction does neither", async () => {
    const body = [
      ["GET", "k"],
      ["SET", "k", "x"],
    ];
    const pipeline = await gateway.send("/pipeline", { body, headers: reader() });
    expect(pipeline.json()).toEqual([{ result: "v" }, { error: expect.stringContaining("NOPERM") }]);
    expect((await gateway.send("/multi-exec", { body, headers: reader() })).status).toBe(400);
  });

  test("it may listen to a channel it knows, and not to patterns", async () => {
    const answer = await gateway.send("/psubscribe/*", { headers: reader() });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("NOPERM")]);
    const stop = new AbortController();
    const stream = await fetch(`${gateway.url}/subscribe/known`, { headers: reader(), signal: stop.signal });
    expect(stream.status).toBe(200);
    stop.abort();
  });
});

describe("without a token", () => {
  let open: TestGateway;
  beforeAll(async () => {
    open = await startTestGateway({ token: undefined, readOnlyToken: undefined });
  });
  afterAll(() => open.close());

  const statusWith = (headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(`${open.url}/ping`, { headers }, (response) => resolve(response.resume().statusCode))
        .once("error", reject)
        .end();
    });

  test("programs on the machine are answered", async () => {
    expect(await statusWith({})).toBe(200);
    expect(await statusWith({ host: "localhost:8079", "sec-fetch-site": "none" })).toBe(200);
  });

  test.each([
    ["origin", "https://example.com"],
    ["sec-fetch-site", "cross-site"],
    ["sec-fetch-site", "same-site"],
    ["host", "rebound.example.com:8079"],
  ])("a web page is not: %s %s", async (name, value) => {
    expect(await statusWith({ [name]: value })).toBe(403);
  });

  test.each(["x-forwarded-for", "x-forwarded-host", "forwarded", "via", "x-real-ip", "cf-connecting-ip"])(
    "what a proxy on the machine passes on is not: %s",
    async (name) => {
      expect(await statusWith({ [name]: "127.0.0.1" })).toBe(403);
    },
  );
});

describe("settings that would expose Redis are refused", () => {
  test.each([
    [{ host: "0.0.0.0" }, /set GATEWAY_TOKEN/],
    [{ host: "127.0.0.1", readOnlyToken: "reads" }, /GATEWAY_TOKEN is not/],
    [{ host: "127.0.0.1", token: "same", readOnlyToken: "same" }, /are the same/],
    [{ host: "127.0.0.1", token: "" }, /empty/],
    [{ host: "127.0.0.1", redisUrl: "http://user:hidden@127.0.0.1" }, /REDIS_URL/],
    [{ host: "192.0.2.1", token: "t" }, /cannot listen/],
  ])("%o", async (options, message) => {
    const log = await createLogger({ level: "silent", format: "json" });
    const starting = startGateway({ redisUrl: gateway.redis.url, port: 0, log, ...options });
    await expect(starting).rejects.toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    await expect(starting).rejects.toThrow(message);
    await expect(starting).rejects.not.toThrow(/hidden/);
  });

  test("a port that is in use is named", async () => {
    const log = await createLogger({ level: "silent", format: "json" });
    const starting = startGateway({ redisUrl: gateway.redis.url, host: "127.0.0.1", port: gateway.port, log });
    await expect(starting).rejects.toThrow(expect.objectContaining({ code: "PORT_IN_USE" }));
  });
});
