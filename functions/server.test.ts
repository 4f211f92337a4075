import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { createApp } from "./index.ts";
import { type RunningServer, startServer } from "./server.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";
import { sendRaw, statusOf } from "./testing/raw-request.ts";

const logLine = z.looseObject({ error: z.object({ message: z.string() }).optional() });

let container: TestContainer;
let server: RunningServer;
beforeAll(async () => {
  container = await startContainer();
  server = await container.listen({ headersTimeoutMs: 300 });
});
afterAll(() => container.stop());

function bodyOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

describe("listening", () => {
  it("takes any free port for port 0, and reports where it is reached", async () => {
    expect(server.port).toBeGreaterThan(0);
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  const listenOn = async (http: Partial<TestContainer["runtime"]["config"]["http"]>) => {
    const { runtime } = container;
    const config = { ...runtime.config, http: { ...runtime.config.http, ...http } };
    return startServer({ ...runtime, config }, await createLogger({ level: "silent", format: "json" }));
  };

  it("says which port is in use, and what to do", async () => {
    const error: unknown = await listenOn({ port: server.port }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CodedError);
    expect(error).toMatchObject({ code: "PORT_IN_USE" });
    expect(String(error)).toContain(`Port ${server.port} of 127.0.0.1 is in use`);
    expect(String(error)).toContain("PORT=0");
  });

  it("says that a host is not of this machine", async () => {
    await expect(listenOn({ host: "203.0.113.1", port: 0 })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it.each([
    ["0.0.0.0", /^http:\/\/127\.0\.0\.1:\d+$/],
    ["::1", /^http:\/\/\[::1\]:\d+$/],
    ["::", /^http:\/\/\[::1\]:\d+$/],
  ])("on %s is reached at its loopback address", async (host, url) => {
    const other = await listenOn({ host, port: 0 });
    expect(other.url).toMatch(url);
    expect((await fetch(`${other.url}/health`)).status).toBe(200);
    await other.close();
  });
});

describe("answers", () => {
  it("carry the request's id, and are neither sniffed nor kept", async () => {
    const { headers } = await fetch(`${server.url}/health`, { headers: { "X-Request-Id": "abc-123" } });
    expect(headers.get("x-request-id")).toBe("abc-123");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cache-control")).toBe("no-store");
  });

  it.each(["a b", "<script>", "x".repeat(65), "a,b"])("do not repeat the odd request id %s", async (id) => {
    const { headers } = await fetch(`${server.url}/health`, { headers: { "X-Request-Id": id } });
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("to an unknown path are 404, in the one shape of errors", async () => {
    const response = await fetch(`${server.url}/nothing/here`);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      success: false,
      error: "There is nothing at /nothing/here.",
      code: "NOT_FOUND",
    });
  });

  it.each([
    ["PUT", "/jobs", "POST, GET, HEAD"],
    ["PUT", "/jobs/a", "GET, DELETE, PATCH, HEAD"],
    ["DELETE", "/health", "GET, HEAD"],
    ["OPTIONS", "/jobs", "POST, GET, HEAD"],
    ["GET", "/jobs/a/retry", "POST"],
    ["POST", "/files/bucket/0.png", "GET, HEAD"],
  ])("to %s %s are 405, and say what is possible", async (method, path, allow) => {
    const response = await fetch(server.url + path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
    expect(await response.json()).toMatchObject({ success: false });
  });
});

describe("what is not a proper request", () => {
  const host = () => `Host: 127.0.0.1:${server.port}\r\n`;

  it.each([
    ["no HTTP", () => "hello\r\n\r\n", 400],
    ["a TLS greeting", () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400],
    ["no host", () => "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
    ["an odd host", () => "GET /health HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n", 400],
    ["a header that is too large", () => `GET /health HTTP/1.1\r\n${host()}X: ${"a".repeat(20_000)}\r\n\r\n`, 431],
    ["a bare line feed in a header", () => `GET /health HTTP/1.1\r\n${host()}X: a\nSet-Cookie: b\r\n\r\n`, 400],
    [
      "two lengths",
      () => `POST /jobs HTTP/1.1\r\n${host()}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ["an odd length", () => `POST /jobs HTTP/1.1\r\n${host()}Content-Length: -1\r\n\r\n`, 400],
    [
      "a line break in the path",
      () => `GET /a%0d%0aSet-Cookie:%20b HTTP/1.1\r\n${host()}Connection: close\r\n\r\n`,
      404,
    ],
  ])("%s", async (_name, request, status) => {
    const answer = await sendRaw(server.port, request());
    expect(statusOf(answer)).toBe(status);
    expect(answer).not.toMatch(/^set-cookie/im);
    if (answer.includes("application/json")) expect(bodyOf(answer)).toMatchObject({ success: false });
  });

  it("a client that never finishes its headers is answered so and cut off", async () => {
    const answer = await sendRaw(server.port, `GET /health HTTP/1.1\r\n${host()}X-Slow: `);
    expect(statusOf(answer)).toBe(408);
    expect(bodyOf(answer)).toMatchObject({ success: false, code: "REQUEST_TIMEOUT" });
  });

  it("a client that never finishes its body is answered so and cut off", async () => {
    const strict = await container.listen({ headersTimeoutMs: 300, requestTimeoutMs: 300 });
    const head = `POST /jobs HTTP/1.1\r\n${host()}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"ty`;
    const answer = await sendRaw(strict.port, head);
    expect(statusOf(answer)).toBe(408);
    expect(bodyOf(answer)).toMatchObject({ success: false, code: "REQUEST_TIMEOUT" });
  });

  it.each([
    ["headers", () => `GET /health HTTP/1.1\r\n${host()}X-Slow: `],
    ["body", () => `POST /jobs HTTP/1.1\r\n${host()}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"ty`],
  ])("a client that never finishes its %s and holds its half open is cut off all the same", async (_name, request) => {
    const strict = await container.listen({ headersTimeoutMs: 300, requestTimeoutMs: 300 });
    const socket = connect({ port: strict.port, host: "127.0.0.1", allowHalfOpen: true });
    const closed = Promise.withResolvers<void>();
    socket.on("error", () => undefined).on("close", () => closed.resolve());
    socket.write(request());
    socket.resume();
    await once(socket, "end");
    // Into a connection that the server has closed it cannot write for long.
    const writing = setInterval(() => socket.write("a"), 50);
    await closed.promise;
    clearInterval(writing);
  });

  it("a body that is too large is refused before it is sent", async () => {
    const head = `POST /jobs HTTP/1.1\r\n${host()}Content-Type: application/json\r\nContent-Length: 20000000\r\n\r\n`;
    const answer = await sendRaw(server.port, head);
    expect(statusOf(answer)).toBe(413);
    expect(answer).toMatch(/^connection: close/im);
  });

  it("a body that breaks off does no harm", async () => {
    const socket = connect(server.port, "127.0.0.1");
    socket.write(`POST /jobs HTTP/1.1\r\n${host()}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"ty`);
    socket.end();
    socket.resume();
    await once(socket, "close");
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });
});

describe("many clients that hold connections without using them", () => {
  it.each([
    ["nothing at all", ""],
    ["half a head", "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "],
    [
      "half a body",
      "POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ],
  ])("keep nobody out with %s, and are ended in time", async (_what, text) => {
    const connections = { total: 60, perAddress: 40 };
    const other = await container.listen({ headersTimeoutMs: 600, requestTimeoutMs: 600, connections });
    const held = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const socket = connect(other.port, "127.0.0.1");
        const closed = Promise.withResolvers<void>();
        socket.on("close", () => closed.resolve()).on("error", () => undefined);
        await once(socket, "connect");
        socket.write(text);
        socket.resume();
        return closed.promise;
      }),
    );
    for (let round = 0; round < 5; round++) expect((await fetch(`${other.url}/health`)).status).toBe(200);
    await Promise.all(held);
  });
});

describe("a reader that takes nothing", () => {
  it("is cut off; one that waits for its answer is not", async () => {
    const shortStall = await container.listen({ stalledAfterMs: 200 });
    const id = await container.runtime.submit("gated", { size: 20_000_000 });
    const { result } = await container.runtime.ended(id);
    expect(result?.assets).toHaveLength(1);
    const address = await container.runtime.files.url("gated", `anonymous/${id}/0.txt`);

    const job = await container.submitGated();
    const waiting = await fetch(`${shortStall.url}/jobs/${job.id}/events`);

    const cutOff = socketClosed(address);
    const stalled = connect(shortStall.port, "127.0.0.1");
    stalled.on("error", () => undefined);
    stalled.write(`GET ${address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    await cutOff;
    stalled.destroy();

    await job.open();
    expect(await waiting.text()).toContain('"status":"completed"');
  });

  /** Resolves when the server's side of the connection that asks for `path` is closed; a client that reads nothing cannot see it. */
  function socketClosed(path: string): Promise<void> {
    const channel = "http.server.request.start";
    return new Promise((resolve) => {
      const listener = (message: unknown) => {
        const { request } = z.object({ request: z.instanceof(IncomingMessage) }).parse(message);
        if (request.url !== path) return;
        unsubscribe(channel, listener);
        request.socket.once("close", () => resolve());
      };
      subscribe(channel, listener);
    });
  }
});

describe("closing", () => {
  it("ends event streams and idle connections at once, and takes no more", async () => {
    const other = await container.listen({ closeLimitMs: 60_000 });
    const job = await container.submitGated();
    const events = await fetch(`${other.url}/jobs/${job.id}/events`);
    await fetch(`${other.url}/health`);
    // Browsers and fetch keep connections in reserve on which nothing was ever requested.
    const reserve = connect(other.port, "127.0.0.1");
    await once(reserve, "connect");
    const startedAt = performance.now();
    const closed = other.close();
    expect(await events.text()).toContain("event: state");
    await closed;
    // What is not ended at once is cut off at the limit.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    await expect(fetch(`${other.url}/health`)).rejects.toThrow();
    await job.open();
  });

  it("cuts off what does not end in time", async () => {
    const other = await container.listen({ closeLimitMs: 100 });
    const socket = connect(other.port, "127.0.0.1");
    socket.write(
      "POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
    );
    socket.on("error", () => undefined);
    await once(socket, "connect");
    const ended = once(socket, "close");
    await other.close();
    await ended;
  });
});

describe("the log", () => {
  it("has a line for each request, without signatures, and the reason of what was not foreseen", async () => {
    const lines: string[] = [];
    const serializers = { error: pino.stdSerializers.err };
    const log = pino({ level: "debug", serializers }, { write: (line: string) => void lines.push(line) });
    const broken = await startContainer();
    const app = createApp(broken.runtime, log);
    await app.request("/files/bucket/0.png?expires=1&signature=verysecret", { headers: { "X-Request-Id": "first" } });
    // Its database is closed while its folder is still there, which no route expects.
    await broken.runtime.stop();
    const response = await app.request("/jobs/a", { headers: { "X-Request-Id": "second" } });
    expect(response.status).toBe(500);
    await broken.stop();
    const withoutFolder = await app.request("/jobs/a", { headers: { "X-Request-Id": "third" } });
    expect(await withoutFolder.json()).toMatchObject({ code: "DATA_FOLDER_UNUSABLE" });
    const logged = lines.map((line) => logLine.parse(JSON.parse(line)));
    expect(logged).toMatchObject([
      { level: 20, request_id: "first", method: "GET", path: "/files/bucket/0.png", status: 403 },
      { level: 50, request_id: "second", status: 500 },
      { level: 50, request_id: "third", status: 500 },
    ]);
    expect(lines.join("")).not.toContain("verysecret");
    expect(logged[1]?.error?.message).toMatch(/database/);
    expect(await response.text()).not.toContain("database");
  });
});
