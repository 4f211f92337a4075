import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";

/*
 * The wire form, byte for byte, as Upstash documents it: what programs without the official client rely on.
 */
let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());
beforeEach(async () => {
  await gateway.send("/flushall");
});

describe("a command in the body", () => {
  test("is answered as a result in JSON", async () => {
    const answer = await gateway.send("/", { body: ["SET", "foo", "bar", "EX", 100] });
    expect([answer.status, answer.text]).toEqual([200, '{"result":"OK"}']);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(answer.headers.get("upstash-sync-token")).not.toBeNull();
    expect((await gateway.send("/", { body: ["GET", "foo"] })).text).toBe('{"result":"bar"}');
    expect((await gateway.send("/", { body: ["GET", "absent"] })).text).toBe('{"result":null}');
  });

  test("may hold numbers and booleans, which arrive as they were written", async () => {
    for (const text of ["12345678901234567890", "0.10", "-7", "1e30", "true", "false"]) {
      await gateway.send("/", { body: `["SET","n",${text}]` });
      expect((await gateway.send("/get/n")).json()).toEqual({ result: text });
    }
  });

  test("integers keep all their digits", async () => {
    await gateway.send("/set/n/9223372036854775806");
    expect((await gateway.send("/incr/n")).text).toBe('{"result":9223372036854775807}');
    expect((await gateway.send("/decrby/m/9007199254740993")).text).toBe('{"result":-9007199254740993}');
  });

  test.each([
    ["", "EOF"],
    ["{", "ERR failed to parse the request body as JSON"],
    ['{"a":1}', "ERR expected JSON array"],
    ["[]", "ERR empty command"],
    ['["GET",null]', "ERR null args are not supported"],
    ['["SET","k",{"a":1}]', "ERR unsupported arg type: object"],
    ['["SET","k",[1]]', "ERR unsupported arg type: array"],
    ['["GET"]', "ERR wrong number of arguments for 'get' command"],
    [`["SET","k",${"[".repeat(100_000)}${"]".repeat(100_000)}]`, "ERR the request is nested deeper than 32 levels"],
    ["[".repeat(100_000), "ERR the request is nested deeper than 32 levels"],
  ])("%j is refused: %s", async (body, error) => {
    const answer = await gateway.send("/", { method: "POST", body });
    expect([answer.status, answer.json()]).toEqual([400, { error }]);
  });
});

describe("a request of more arguments than any client sends at once", () => {
  test.each([
    ["a command", "/", `["DEL",${'"k",'.repeat(19_999)}"k"]`],
    ["a pipeline", "/pipeline", `[${'["PING"],'.repeat(10_000)}["PING"]]`],
    ["a transaction", "/multi-exec", `[${'["PING"],'.repeat(10_000)}["PING"]]`],
    ["numbers that are no integers", "/", `["DEL",${"0.5,".repeat(2_000_000)}0.5]`],
  ])("is refused before it is read: %s", async (_what, path, body) => {
    const answer = await gateway.send(path, { method: "POST", body });
    expect([answer.status, answer.json()]).toEqual([413, { error: "ERR the request has more than 20,000 values" }]);
  });

  test("as many as the limit are taken", async () => {
    const body = `["DEL",${'"k",'.repeat(19_996)}"k"]`;
    expect((await gateway.send("/", { method: "POST", body })).json()).toEqual({ result: 0 });
  });
});

describe("a command in the path", () => {
  test("has its arguments decoded", async () => {
    expect((await gateway.send("/lpush/key/a%20value/%E2%82%AC")).json()).toEqual({ result: 2 });
    expect((await gateway.send("/lrange/key/0/-1")).json()).toEqual({ result: ["€", "a value"] });
  });

  test.each(["POST", "PUT"])("takes the body of a %s as its last argument, options from the query", async (method) => {
    const job = '{"id":"job-1","prompt":"a quiet lake"}';
    expect((await gateway.send("/lpush/queue", { method, body: job })).json()).toEqual({ result: 1 });
    expect((await gateway.send("/rpop/queue")).json()).toEqual({ result: job });
    expect((await gateway.send("/set/k?EX=100", { method, body: "v" })).text).toBe('{"result":"OK"}');
    expect((await gateway.send("/ttl/k")).json()).toEqual({ result: 100 });
    expect((await gateway.send("/set/k?NX", { method, body: "other" })).json()).toEqual({ result: null });
  });

  test("bytes that are no text arrive as they are", async () => {
    const bytes = Buffer.from([0, 255, 254, 10, 13, 128]);
    await gateway.send("/set/bytes", { body: bytes });
    expect((await gateway.send("/get/bytes", { headers: { "upstash-encoding": "base64" } })).json()).toEqual({
      result: bytes.toString("base64"),
    });
    await gateway.send("/set/escaped/%FF%00");
    expect((await gateway.send("/strlen/escaped")).json()).toEqual({ result: 2 });
  });

  test("any text in JSON comes back as it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
        const { json } = await gateway.send("/", { body: ["ECHO", text] });
        expect(json()).toEqual({ result: text });
      }),
    );
  });

  test("the token may be in the URL", async () => {
    const headers = { authorization: "" };
    expect((await gateway.send(`/set/k/v?_token=${gateway.token}`, { headers })).text).toBe('{"result":"OK"}');
    expect((await gateway.send("/get/k?_token=wrong")).status).toBe(401);
  });
});

describe("encodings", () => {
  test("base64 encodes every string but the status OK", async () => {
    const headers = { "upstash-encoding": "base64" };
    const result = async (...body: unknown[]) => (await gateway.send("/", { body, headers })).json();
    const encode = (text: string) => Buffer.from(text).toString("base64");
    expect(await result("SET", "k", "v")).toEqual({ result: "OK" });
    expect(await result("PING")).toEqual({ result: encode("PONG") });
    expect(await result("GET", "k")).toEqual({ result: encode("v") });
    expect(await result("EVAL", "return {redis.call('SET','k','v'), 'OK', 5, false}", 0)).toEqual({
      result: [encode("OK"), encode("OK"), 5, null],
    });
  });

  test("resp2 is what Redis sends", async () => {
    const headers = { "upstash-response-format": "resp2" };
    const set = await gateway.send("/set/k/grün", { headers });
    expect([set.text, set.headers.get("content-type")]).toEqual(["+OK\r\n", "application/octet-stream"]);
    expect((await gateway.send("/get/k", { headers })).text).toBe("$5\r\ngrün\r\n");
    expect((await gateway.send("/get/absent", { headers })).text).toBe("$-1\r\n");
    const script = "return {1, 'a', {ok='FINE'}, {}, {err='ERR own'}}";
    expect((await gateway.send("/", { headers, body: ["EVAL", script, 0] })).text).toBe(
      "*5\r\n:1\r\n$1\r\na\r\n+FINE\r\n*0\r\n-ERR own\r\n",
    );
    const error = await gateway.send("/incr/k", { headers });
    expect([error.status, error.text]).toEqual([400, "-ERR value is not an integer or out of range\r\n"]);
    const commands = [
      ["INCR", "n"],
      ["GET", "n"],
    ];
    expect((await gateway.send("/pipeline", { headers, body: commands })).text).toBe(":1\r\n$1\r\n1\r\n");
    expect((await gateway.send("/multi-exec", { headers, body: commands })).json()).toEqual([
      { result: 2 },
      { result: "2" },
    ]);
  });

  test.each([
    ["", "resp3"],
    ["hex", "json"],
    ["base64", "resp2"],
  ])("the encoding %j in the format %j is refused", async (encoding, format) => {
    const headers = { "upstash-encoding": encoding, "upstash-response-format": format };
    expect((await gateway.send("/ping", { headers })).status).toBe(400);
  });

  test("an error inside an array stays in its place", async () => {
    const answer = await gateway.send("/", { body: ["EVAL", "return {1, {err='ERR own'}}", 0] });
    expect(answer.json()).toEqual({ result: [1, { error: "ERR own" }] });
  });
});

describe("pipelines and transactions", () => {
  const commands = [
    ["SET", "key1", "valuex"],
    ["SETEX", "key2", 13, "valuez"],
    ["INCR", "key1"],
    ["ZADD", "z", 1, "a"],
  ];
  const results = [
    { result: "OK" },
    { result: "OK" },
    { error: "ERR value is not an integer or out of range" },
    { result: 1 },
  ];

  test.each(["/pipeline", "/multi-exec"])("%s answers each command in its place", async (path) => {
    const answer = await gateway.send(path, { body: commands });
    expect([answer.status, answer.json()]).toEqual([200, results]);
  });

  test("a pipeline runs the commands beside one that cannot be run", async () => {
    const answer = await gateway.send("/pipeline", {
      body: [["SET", "k", "v"], ["BLPOP", "l", 0], ["NOPE"], ["GET", "k"]],
    });
    expect(answer.json()).toEqual([
      { result: "OK" },
      { error: expect.stringContaining("ERR Command is not available: 'BLPOP'") },
      { error: expect.stringContaining("ERR unknown command") },
      { result: "v" },
    ]);
  });

  test.each([
    ["a command with wrong arguments", ["GET"], "ERR wrong number of arguments for 'get' command"],
    ["an unknown command", ["NOPE"], "ERR unknown command"],
    ["a refused command", ["BLPOP", "l", 0], "ERR Command is not available: 'BLPOP'"],
  ])("a transaction with %s is discarded whole", async (_, command, error) => {
    const answer = await gateway.send("/multi-exec", { body: [["SET", "k", "v"], command] });
    expect([answer.status, answer.json()]).toEqual([400, { error: expect.stringContaining(error) }]);
    expect((await gateway.send("/exists/k")).json()).toEqual({ result: 0 });
  });

  test("a transaction is not mixed with other requests", async () => {
    const transfer = [
      ["DECR", "a"],
      ["INCR", "b"],
    ];
    const reads: unknown[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        await gateway.send("/multi-exec", { body: transfer });
        reads.push((await gateway.send("/mget/a/b")).json());
      }),
    );
    for (const { result } of reads as { result: string[] }[]) expect(Number(result[0]) + Number(result[1])).toBe(0);
    expect((await gateway.send("/get/b")).json()).toEqual({ result: "50" });
  });

  test.each([
    ["[]", "ERR empty pipeline request"],
    ['["GET","k"]', "ERR expected JSON array"],
    ["[[]]", "ERR empty command"],
  ])("%s is refused", async (body, error) => {
    const answer = await gateway.send("/pipeline", { body });
    expect([answer.status, answer.json()]).toEqual([400, { error }]);
  });
});

describe("what is refused", () => {
  test.each([
    ["BLPOP", "l", "1"],
    ["BRPOP", "l", "1"],
    ["BLMOVE", "a", "b", "LEFT", "LEFT", "1"],
    ["BZPOPMIN", "z", "1"],
    ["XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", "$"],
    ["XREADGROUP", "GROUP", "g", "c", "block", "0", "STREAMS", "s", ">"],
    ["WAIT", "1", "0"],
    ["CONFIG", "GET", "*"],
    ["DEBUG", "SLEEP", "0"],
    ["SHUTDOWN"],
    ["script", "debug", "yes"],
    ["MIGRATE", "h", "1", "k", "0", "1"],
  ])("%s is not available", async (...body) => {
    const answer = await gateway.send("/", { body });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("ERR Command is not available: '")]);
  });

  test.each(["AUTH", "SELECT", "CLIENT", "MULTI", "EXEC", "WATCH", "QUIT", "SUBSCRIBE", "monitor"])(
    "%s has no place in REST",
    async (name) => {
      const answer = await gateway.send("/", { body: [name, "0"] });
      expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("is not allowed in REST")]);
    },
  );

  test("streams and groups may be called like the option that blocks", async () => {
    await gateway.send("/", { body: ["XADD", "BLOCK", "1-0", "f", "v"] });
    await gateway.send("/", { body: ["XGROUP", "CREATE", "BLOCK", "BLOCK", "0"] });
    const read = ["XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "BLOCK", ">"];
    expect((await gateway.send("/", { body: read })).json()).toEqual({ result: [["BLOCK", [["1-0", ["f", "v"]]]]] });
  });

  test("methods other than HEAD, GET, POST and PUT", async () => {
    for (const method of ["DELETE", "OPTIONS", "PATCH"])
      expect((await gateway.send("/ping", { method })).status).toBe(405);
    expect((await gateway.send("/incr/n", { method: "HEAD" })).status).toBe(200);
    expect((await gateway.send("/exists/n")).json()).toEqual({ result: 0 });
  });

  test("a body over the limit, and the connection goes on", async () => {
    const small = await startTestGateway({ maxRequestBytes: 1_000 });
    const answer = await small.send("/set/k", { body: "x".repeat(1_001) });
    expect([answer.status, answer.json()]).toEqual([
      413,
      { error: "ERR max request size exceeded. Limit: 1000 bytes" },
    ]);
    expect((await small.send("/set/k", { body: "x".repeat(1_000) })).status).toBe(200);
    expect((await small.send("/set/k", { body: "x".repeat(50_000) }).catch(() => ({ status: 413 }))).status).toBe(413);
    expect((await small.send("/strlen/k")).json()).toEqual({ result: 1_000 });
    await small.close();
  });

  test("a client that goes away in the middle of its body leaves nothing behind", async () => {
    const socket = connect(gateway.port, "127.0.0.1");
    const head = `POST /set/k HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.token}\r\ncontent-length: 100\r\n\r\n`;
    await new Promise((resolve) => socket.write(`${head}only a part`, resolve));
    socket.resetAndDestroy();
    expect((await gateway.send("/exists/k")).json()).toEqual({ result: 0 });
  });
});
